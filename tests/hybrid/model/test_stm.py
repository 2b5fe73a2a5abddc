"""The spiking layers: norse's dynamics, the contract's float form, and gradients that flow."""

from __future__ import annotations

import math

import pytest
import torch
from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step

from ann_part.program import build, export_program
from hybrid.model.config import load_config
from hybrid.model.scan import atan_surrogate
from hybrid.model.stm import ConvLIF, LIFScan, SpikingTemporalModulator
from hybrid.training.initialise import FIRING_RATE, scale_to_firing_rate


def layer(reset="soft", readout=False, seed=0):
    torch.manual_seed(seed)
    config = load_config("tiny").stm.model_copy(update={"reset": reset})
    return ConvLIF(2, 4, 3, 1, config, unit=1.0, readout=readout)


def by_the_contract(module, values):
    """keep * v + W s with folded weights, spike if above threshold, reset: step by step."""
    weight, keep, vth = module.conv.weight * (1 - module.keep), module.keep, module.threshold
    v = torch.zeros(values.shape[0], 4, *values.shape[-2:])
    spikes = []
    for t in range(values.shape[1]):
        v = keep * v + torch.nn.functional.conv2d(values[:, t], weight, padding=1)
        fired = (v > vth).float() * (not module.readout)
        v = {"soft": v - fired * vth, "zero": v * (1 - fired), "none": v}[module.reset]
        spikes.append(fired)
    return v if module.readout else torch.stack(spikes, 1)


@pytest.mark.parametrize("reset", ["soft", "zero", "none"])
def test_a_layer_spikes_as_the_contract_says(reset):
    module, values = layer(reset), torch.randn(3, 9, 2, 7, 6) * 3
    with torch.no_grad():
        found = module(values)
        assert 0.02 < found.mean() < 0.98
        assert (found != by_the_contract(module, values)).float().mean() < 1e-3


def test_a_readout_returns_the_last_potential():
    module, values = layer(readout=True), torch.randn(3, 9, 2, 7, 6)
    with torch.no_grad():
        assert torch.allclose(module(values), by_the_contract(module, values), rtol=1e-5, atol=1e-6)


def test_a_hard_reset_layer_equals_norses_own_lif_cell():
    module, values = layer("zero"), torch.randn(2, 9, 2, 5, 5) * 3
    with torch.no_grad():
        p = LIFBoxParameters(
            tau_mem_inv=1 - module.keep,
            v_leak=torch.zeros(()),
            v_th=module.threshold,
            v_reset=torch.zeros(()),
            method="heaviside",
        )
        state = LIFBoxFeedForwardState(v=torch.zeros(2, 4, 5, 5))
        spikes = []
        for t in range(9):
            z, state = lif_box_feed_forward_step(module.conv(values[:, t]), state, p, dt=1.0)
            spikes.append(z)
        assert torch.equal(torch.stack(spikes, 1), module(values))


class AtanSpike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, width):
        ctx.save_for_backward(x)
        ctx.width = width
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad * atan_surrogate(ctx.saved_tensors[0], ctx.width), None


@pytest.mark.parametrize("reset", ["soft", "zero", "none"])
def test_gradients_equal_those_of_autograd_over_the_plain_loop(reset):
    torch.manual_seed(1)
    current = (torch.randn(2, 8, 3, 4, 4, dtype=torch.float64) * 2).requires_grad_()
    keep, threshold = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.7, 0.4))
    weights = torch.randn(2, 8, 3, 4, 4, dtype=torch.float64)
    (LIFScan.apply(current, keep, threshold, 2.0, reset) * weights).sum().backward()
    found = [x.grad.clone() for x in (current, keep, threshold)]
    for x in (current, keep, threshold):
        x.grad = None
    v, spikes = torch.zeros(2, 3, 4, 4, dtype=torch.float64), []
    for t in range(8):
        v = keep * v + (1 - keep) * current[:, t]
        spikes.append(AtanSpike.apply(v - threshold, 2.0))
        v = {"soft": v - spikes[-1] * threshold, "zero": v * (1 - spikes[-1]), "none": v}[reset]
    (torch.stack(spikes, 1) * weights).sum().backward()
    for ours, theirs in zip(found, (current, keep, threshold), strict=True):
        assert torch.allclose(ours, theirs.grad, rtol=1e-10)


def test_the_surrogate_is_the_derivative_of_the_arctangent():
    x = torch.linspace(-2, 2, 41, dtype=torch.float64, requires_grad=True)
    (torch.atan(math.pi / 2 * 2.0 * x) / math.pi).sum().backward()
    assert torch.allclose(x.grad, atan_surrogate(x.detach(), 2.0))


def test_weights_leak_and_threshold_all_learn():
    stm = SpikingTemporalModulator(2, load_config("tiny").stm, 1 / 128)
    values = torch.randn(1, 5, 2, 32, 32)
    scale_to_firing_rate(stm, values)
    stm(values).square().mean().backward()
    for name, parameter in stm.named_parameters():
        if name != "2.threshold_raw":  # a read-out has no threshold
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_state_does_not_leak_from_one_gop_to_the_next():
    module, values = layer(), torch.randn(2, 6, 2, 5, 5) * 3
    with torch.no_grad():
        assert torch.equal(module(values)[1:], module(values[1:]))


def test_initialisation_reaches_the_firing_rate():
    stm = SpikingTemporalModulator(2, load_config("tiny").stm, 1 / 128)
    values = torch.randn(2, 11, 2, 64, 64) * (torch.rand(2, 11, 2, 64, 64) < 0.3)
    scale_to_firing_rate(stm, values)
    with torch.no_grad():
        rate = float(stm[0](values).mean())
    assert 0.4 * FIRING_RATE < rate <= 1.1 * FIRING_RATE  # resets lower it


def test_an_exported_layer_takes_any_batch():
    module, batches = layer().eval(), [torch.randn(b, 3, 2, 6, 6) * 3 for b in (3, 1, 5)]
    with torch.no_grad():
        program = build(export_program(module, (batches[0],)))
        for values in batches:
            assert torch.equal(program(values), module(values.clone()))
