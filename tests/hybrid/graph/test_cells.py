"""Cells of other libraries against their laws in the contract, and what cannot be said in it."""

from __future__ import annotations

import norse.torch as norse
import numpy as np
import pytest
import torch
from norse.torch.functional.reset import reset_subtract
from torch import nn

from hybrid.graph import trace
from hybrid.partition.extract import chip_network
from hybrid.partition.legality import violations
from hybrid.user.boundary import as_result
from snn_export import reference

snn = pytest.importorskip("snntorch")


class Loop(nn.Module):
    """Currents [B, T, N] into a cell, step by step."""

    def __init__(self, cell, states=1, given=0):
        super().__init__()
        self.cell, self.states, self.given = cell, states, given

    def forward(self, x):
        state, out = (None,) * self.states, []
        for t in range(x.shape[1]):
            result = self.cell(x[:, t], *state)
            state = result[1:]
            out.append(result[self.given])
        return torch.stack(out, 1)


def t(value):
    return torch.tensor(value)


def lif(**more):
    return norse.LIFCell(norse.LIFParameters(tau_mem_inv=t(250.0), tau_syn_inv=t(500.0), **more))


def box(**more):
    return norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=t(250.0), **more))


SPIKING = {
    "LIFCell": (lif(v_th=t(0.25)), 1),
    "LIFCell without a current": (norse.LIFCell(norse.LIFParameters(tau_mem_inv=t(250.0), tau_syn_inv=t(1000.0))), 1),
    "LIFCell at rest": (lif(v_th=t(0.75), v_leak=t(0.5), v_reset=t(0.5)), 1),
    "LIFCell per neuron": (lif(v_th=t([0.25, 0.5, 0.125, 0.25, 1.0])), 1),
    "LIFBoxCell": (box(v_th=t(0.25)), 1),
    "LIFBoxCell soft": (box(v_th=t(0.125), reset_method=reset_subtract), 1),
    "Leaky zero": (snn.Leaky(0.5, reset_mechanism="zero"), 1),
    "Leaky zero at once": (snn.Leaky(0.75, reset_mechanism="zero", reset_delay=False), 1),
    "Leaky integrator": (snn.Leaky(1.0, reset_mechanism="subtract"), 1),
    "Leaky none": (snn.Leaky(0.5, threshold=0.25, reset_mechanism="none"), 1),
    "Leaky per neuron": (snn.Leaky(t([0.5, 0.25, 0.75, 1.0, 0.0]), reset_mechanism="zero"), 1),
    "Synaptic zero at once": (snn.Synaptic(0.5, 0.75, reset_mechanism="zero", reset_delay=False), 2),
    "Synaptic none": (snn.Synaptic(0.5, 0.5, reset_mechanism="none"), 2),
    "Synaptic integrator": (snn.Synaptic(0.25, 1.0, reset_mechanism="subtract"), 2),
}
POTENTIALS = {
    "LICell": (norse.LICell(norse.LIParameters(tau_mem_inv=t(250.0), tau_syn_inv=t(500.0))), 1, 0),
    "LIBoxCell": (norse.LIBoxCell(norse.LIBoxParameters(tau_mem_inv=t(250.0))), 1, 0),
    "Leaky none": (snn.Leaky(0.5, reset_mechanism="none"), 1, 1),
    "Synaptic none": (snn.Synaptic(0.5, 0.75, reset_mechanism="none"), 2, 2),
}


def currents(seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.integers(-24, 64, (3, 12, 5)) / 32, dtype=torch.float32)


def both(cell, states, given):
    """What the library gives, and what the float network gives, for the same currents."""
    x = currents()
    model = Loop(cell, states, given).eval()
    graph = trace(model, (x,))
    (name,) = (name for name, op in graph.ops.items() if op.spiking)
    assert not violations(graph.ops[name], graph), violations(graph.ops[name], graph)
    network = chip_network(graph, [name])
    recording = reference.run(network, {"x": x.double().numpy()})
    (root := model.cell)
    for attribute in ("mem", "syn"):
        if hasattr(root, attribute):
            setattr(root, attribute, torch.zeros(0))
    with torch.no_grad():
        return model(x), as_result(network, recording, name, graph.ops[name].shape, 0)


@pytest.mark.parametrize("name", SPIKING)
def test_spikes_of_a_supported_cell_are_the_contracts(name):
    own, ours = both(*SPIKING[name], 0)
    assert torch.equal(own, ours)
    assert 0.02 < own.mean() < 0.98


@pytest.mark.parametrize("name", POTENTIALS)
def test_potentials_of_a_supported_cell_are_the_contracts(name):
    own, ours = both(*POTENTIALS[name])
    assert torch.allclose(own, ours, rtol=0, atol=1e-6)
    assert own.abs().max() > 0.1


REFUSED = {
    "subtracts the threshold a step late": (snn.Leaky(0.5), 1, 0),
    "subtracts the threshold a step late, after": (snn.Synaptic(0.5, 0.5), 2, 0),
    "once more": (snn.Leaky(0.5, reset_delay=False), 1, 0),
    "drops the input of the step after": (snn.Synaptic(0.5, 0.5, reset_mechanism="zero"), 2, 0),
    "its potential is used, and a spike resets it": (snn.Leaky(0.5), 1, 1),
    "spikes are graded": (snn.Leaky(0.5, reset_mechanism="zero", graded_spikes_factor=2.0), 1, 0),
    "inhibit each other": (snn.Leaky(0.5, reset_mechanism="zero", inhibition=True), 1, 0),
    "rounds its state": (snn.Leaky(0.5, reset_mechanism="zero", state_quant=lambda x: x.round()), 1, 0),
    "not a strict threshold": (snn.Leaky(0.5, reset_mechanism="zero", spike_grad=lambda x: (x >= 0).float()), 1, 0),
    "its alpha differs": (snn.Synaptic(t([0.5, 0.5, 0.5, 0.5, 0.25]), 1.0), 2, 0),
    "its threshold is below 0": (snn.Leaky(0.5, threshold=-1.0, reset_mechanism="zero"), 1, 0),
    "not what a spike resets it to": (lif(v_leak=t(0.5)), 1, 0),
    "its threshold is below its resting": (lif(v_leak=t(2.0), v_reset=t(2.0)), 1, 0),
    "its tau_syn_inv differs": (
        norse.LIFCell(norse.LIFParameters(tau_syn_inv=t([500.0, 500.0, 500.0, 500.0, 250.0]))), 1, 0
    ),
    "a step, and the contract takes 0 to 1": (norse.LIFCell(norse.LIFParameters(tau_mem_inv=t(2000.0))), 1, 0),
    "its v_leak is not 0": (norse.LICell(norse.LIParameters(v_leak=t(0.5))), 1, 0),
    "recurrent weights close a loop": (norse.LIFRecurrentCell(5, 5), 1, 0),
    "more than a leak, a current and a reset": (norse.LIFRefracCell(), 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_cell_with_another_law_is_refused_by_what_differs(what):
    graph = trace(Loop(*REFUSED[what]).eval(), (currents(),))
    (op,) = (op for op in graph.ops.values() if op.spiking)
    assert any(what in fact for fact in violations(op, graph)), violations(op, graph)


def test_where_snntorch_differs_it_does_so_for_real():
    """The late subtraction is refused for a reason: said as a soft reset it would spike otherwise."""
    x, cell = currents() * 2, snn.Leaky(0.5)
    with torch.no_grad():
        own = Loop(cell)(x)
    v, other = torch.zeros(3, 5), []
    for step in range(12):
        v = 0.5 * v + x[:, step]
        other.append((v > 1).float())
        v = v - other[-1]
    assert not torch.equal(own, torch.stack(other, 1))
