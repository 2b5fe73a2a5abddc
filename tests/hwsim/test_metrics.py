"""NeuroBench's metrics against its definitions, and against NeuroBench itself where it is installed."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.chip import load
from hwsim.engine import run
from hwsim.mapping import map_network
from hwsim.metrics import metrics
from snn_export import reference
from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
)


def _measure(network, inputs, mapping):
    return metrics(network, mapping, run(network, inputs, mapping).counts)


def _operations(layer, connection, value, binarise):
    """Operations of one connection in one step: all weights and values that count are 1, their sum is the count."""
    synapse = replace(connection.synapse, weight=binarise(connection.synapse.weight))
    one = replace(layer, connections=(replace(connection, synapse=synapse),))
    return int(reference.accumulate(one, {connection.source: binarise(value)}).sum())


@given(data=st.data())
@settings(max_examples=40)
def test_synaptic_operations_follow_the_definition_by_binarised_layers(cases, mappings, data):
    network, inputs = data.draw(cases(pool=False))
    found = _measure(network, inputs, data.draw(mappings(network))).synaptic_operations
    spikes = reference.run(network, inputs).spikes
    values = {name: x.astype(np.int64) for name, x in {**inputs, **spikes}.items()}
    graded = {port.name for port in network.inputs if port.graded}
    gops, steps = next(iter(inputs.values())).shape[:2]
    dense = macs = acs = 0
    for layer, connection in ((x, c) for x in network.layers for c in x.connections):
        for g, t in np.ndindex(gops, steps):
            value = values[connection.source][g, t]
            dense += _operations(layer, connection, value, np.ones_like)
            effective = _operations(layer, connection, value, lambda x: (x != 0).astype(np.int64))
            if connection.source in graded:
                macs += effective
            else:
                acs += effective
    assert (found.dense, found.effective_macs, found.effective_acs) == (dense / gops, macs / gops, acs / gops)


@given(data=st.data())
@settings(max_examples=40)
def test_activation_sparsity_is_the_share_of_silent_neurons(cases, mappings, data):
    network, inputs = data.draw(cases())
    found = _measure(network, inputs, data.draw(mappings(network))).activation_sparsity
    spikes = reference.run(network, inputs).spikes
    fired = [spikes[layer.name].ravel() for layer in network.layers if not layer.neuron.readout]
    expected = np.mean(np.concatenate(fired) == 0) if fired else 0
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.fixture
def mixed():
    """A pool, a list of two synapses of six, and a matrix with a zero."""
    lif = LIF(*np.array([[0], [0]], np.int32))
    one = Sparse(np.array([5, -3], np.int8), np.array([0, 1], np.int32), np.array([2, 0], np.int32), (2, 3))
    layers = (
        Layer("pool", (1, 1, 3), (Connection("in", SumPool2d((2, 2), (2, 2))),), lif),
        Layer("list", (2,), (Connection("pool", one),), replace(lif, vth=np.array([1, 2], np.int32))),
        Layer("end", (2,), (Connection("list", Dense(np.array([[1, 0], [2, 3]], np.int8))),), lif),
    )
    return SpikingNetwork((InputPort("in", (1, 2, 6), 1),), layers)


def test_pooling_counts_in_no_operation_and_a_list_of_synapses_leaves_zeros_out(mixed):
    mapping = map_network(mixed, load("loihi2"))
    found = _measure(mixed, {"in": np.ones((1, 4, 1, 2, 6), np.int16)}, mapping)
    # constants of 4 bytes: 4 of the pool, 5 of the list, 4 of the end; 2 + 4 weights; 4 indices of 4 bytes
    assert found.footprint == 4 * (4 + 5 + 4) + 2 + 4 + 4 * 4
    assert found.connection_sparsity == pytest.approx(1 - (2 + 3) / (6 + 4))
    # the pool fires always; of the list one neuron does (5 > 1), so one input of the matrix counts, with 2 weights
    assert found.synaptic_operations.dense == 4 * (2 + 4)
    assert found.synaptic_operations.effective_acs == 4 * (2 + 2)
    assert found.activation_sparsity == pytest.approx(1 - (3 + 1 + 2) / 7)


def _neurobench():
    """NeuroBench's metrics and wrapper of snnTorch models; skips where they are not installed."""
    names = ("neurobench.metrics.static", "neurobench.metrics.workload", "neurobench.models", "snntorch")
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        pytest.skip(f"NeuroBench is not installed: {error}")


def test_neurobench_reports_the_same_numbers_on_a_shared_model():
    static, workload, models, snn = _neurobench()
    rng = np.random.default_rng(0)
    conv = Conv2d(rng.integers(-3, 6, (3, 2, 3, 3), dtype=np.int8), (2, 2), (1, 1))
    dense = Dense(rng.integers(-2, 4, (5, 48), dtype=np.int8))
    lif = LIF(np.array([4096], np.int32), np.array([9], np.int32), Reset.NONE)
    layers = Layer("a", (3, 4, 4), (Connection("in", conv),), lif), Layer("b", (5,), (Connection("a", dense),), lif)
    network = SpikingNetwork((InputPort("in", (2, 8, 8), 1),), layers)
    spikes = (rng.random((3, 6, 2, 8, 8)) < 0.2).astype(np.int16)

    net = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, 3, 2, 1, bias=False),
        snn.Leaky(beta=1.0, threshold=9.0, reset_mechanism="none", init_hidden=True),
        torch.nn.Flatten(),
        torch.nn.Linear(48, 5, bias=False),
        snn.Leaky(beta=1.0, threshold=9.0, reset_mechanism="none", init_hidden=True, output=True),
    )
    net[0].weight.data, net[3].weight.data = (torch.tensor(x.weight, dtype=torch.float32) for x in (conv, dense))
    model = models.SNNTorchModel(net)
    model.register_hooks()
    values = torch.tensor(spikes, dtype=torch.float32)
    with torch.no_grad():
        outputs = model(values)
    assert np.array_equal(outputs.numpy(), reference.run(network, {"in": spikes}).spikes["b"])

    found = _measure(network, {"in": spikes}, map_network(network, load("loihi2")))
    assert round(found.connection_sparsity, 4) == static.ConnectionSparsity()(model)
    given = (model, outputs, (values, None))
    assert found.activation_sparsity == pytest.approx(workload.ActivationSparsity()(*given), abs=1e-12)
    operations = workload.SynapticOperations()(*given)
    assert found.synaptic_operations.dense == operations["Dense"]
    assert found.synaptic_operations.effective_acs == operations["Effective_ACs"]
    assert found.synaptic_operations.effective_macs == operations["Effective_MACs"]
    model = models.TorchModel(_stored(network))
    assert found.footprint == static.Footprint()(model)


def _stored(network):
    """The arrays of a network as the buffers of a torch module."""
    module = torch.nn.Module()
    for layer in network.layers:
        neuron = layer.neuron
        arrays = [connection.synapse.weight for connection in layer.connections]
        arrays += [x.astype(np.int32) for x in (neuron.keep, neuron.vth, neuron.bias, np.array([neuron.ukeep]))]
        for i, array in enumerate(arrays):
            module.register_buffer(f"{layer.name}{i}", torch.from_numpy(array))
    return module
