"""All time steps of LIF neurons at once, in torch; on a GPU one launch for all of them (`hybrid.model.scan_triton`).

Values lie as [B, T, ...]: what follows the steps may be in any order, since neurons do not see each other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from snn_export.network import DECAY_BITS, STATE_LIMIT, STATE_SHIFT, Layer, Reset


def scan(current: Tensor, keep: Tensor, threshold: Tensor, reset: str) -> tuple[Tensor, Tensor]:
    """Potentials before the reset, and spikes, of ``v = keep * v + (1 - keep) * current`` from zero state.

    Args:
        current: [B, T, ...].
        keep: share of the potential kept per step.
        threshold: of a spike, strictly above it.
        reset: on a spike: `soft` takes the threshold away, `zero` all, `none` nothing.
    """
    if current.device.type == "cuda":
        from hybrid.model.scan_triton import scan as launch

        return launch(current, keep, threshold, reset)
    potentials, spikes = torch.empty_like(current), torch.empty_like(current)
    v, share = torch.zeros_like(current[:, 0]), 1 - keep
    for t in range(current.shape[1]):
        # norse's form of the leaky integrator, so that equal inputs give its bits
        v = v + share * (current[:, t] - v)
        fired = (v > threshold).to(v.dtype)
        potentials[:, t], spikes[:, t] = v, fired
        v = after_reset(v, fired, threshold, reset)
    return potentials, spikes


def spikes_of(current: Tensor, keep: Tensor, threshold: Tensor, reset: str) -> Tensor:
    """The spikes of `scan` alone; the currents are overwritten by them. Neurons go in parts that fit a cache."""
    if current.device.type == "cuda":
        return scan(current, keep, threshold, reset)[1]
    share = 1 - keep
    for one in current:
        v, change = torch.zeros_like(one[0]), torch.empty_like(one[0])
        for step in one:
            v.add_(torch.sub(step, v, out=change).mul_(share))
            torch.gt(v, threshold, out=step)
            if reset == "soft":
                v.sub_(torch.mul(step, threshold, out=change))
            elif reset == "zero":
                v.mul_(torch.sub(1, step, out=change))
    return current


def after_reset(v: Tensor, fired: Tensor, threshold: Tensor, reset: str) -> Tensor:
    """The potential that goes into the next step."""
    if reset == "soft":
        return v - fired * threshold
    return v * (1 - fired) if reset == "zero" else v


def atan_surrogate(x: Tensor, width: float) -> Tensor:
    """Surrogate for the derivative of the Heaviside step: that of the arctangent.

    ``(width / 2) / (1 + (pi / 2 * width * x)^2)``, the ATan surrogate of Fang et al., ICCV 2021.
    """
    slope: Tensor = (width / 2) / (1 + (math.pi / 2 * width * x).square())
    return slope


def gradients(
    grad: Tensor, current: Tensor, keep: Tensor, threshold: Tensor, potentials: Tensor, spikes: Tensor,
    width: float, reset: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of the currents, the leak and the threshold, back through time, for those of the spikes."""
    if current.device.type == "cuda":
        from hybrid.model.scan_triton import gradients as launch

        return launch(grad, current, keep, threshold, potentials, spikes, width, reset)
    v = potentials
    slope = atan_surrogate(v - threshold, width)
    grad_v, grad_spike = torch.empty_like(v), torch.empty_like(v)
    after = torch.zeros_like(v[:, 0])  # gradient of the potential after the reset
    for t in reversed(range(v.shape[1])):
        fall = {"soft": threshold, "zero": v[:, t], "none": 0.0}[reset]
        grad_spike[:, t] = grad[:, t] - fall * after
        direct = after * (1 - spikes[:, t]) if reset == "zero" else after
        grad_v[:, t] = direct + grad_spike[:, t] * slope[:, t]
        after = keep * grad_v[:, t]
    before = torch.zeros_like(v)
    before[:, 1:] = after_reset(v[:, :-1], spikes[:, :-1], threshold, reset)
    grad_keep = (grad_v * (before - current)).sum()
    grad_threshold = -(grad_spike * slope).sum()
    if reset == "soft":  # what a spike takes away is the threshold itself
        grad_threshold = grad_threshold - (grad_v[:, 1:] * keep * spikes[:, :-1]).sum()
    return grad_v * (1 - keep), grad_keep, grad_threshold


def integer_scan(sums: Tensor, layer: Layer) -> tuple[Tensor, Tensor, int]:
    """Lines 2 to 5 of the contract for all steps of one layer, in integers.

    Args:
        sums: line 1's, whole numbers [G, T, ..., C].
        layer: gives the constants.

    Returns:
        Spikes float32 and potentials int32 [G, T, ..., C], and how many potentials were clipped.
    """
    if sums.device.type == "cuda":
        from hybrid.model.scan_triton import integer_scan as launch

        return launch(sums, layer)
    neuron = layer.neuron
    keep, vth, bias = (torch.as_tensor(x.astype("int64")) for x in (neuron.keep, neuron.vth, neuron.bias))
    a = sums.to(torch.int64) << STATE_SHIFT
    spikes, potentials = torch.zeros_like(sums), torch.empty_like(sums, dtype=torch.int32)
    u, v, clipped = torch.zeros_like(a[:, 0]), torch.zeros_like(a[:, 0]), 0
    for t in range(sums.shape[1]):
        if neuron.clears_before(t):
            u, v = torch.zeros_like(u), torch.zeros_like(v)
        u = _decayed(u, int(neuron.ukeep)) + a[:, t]
        full = _decayed(v, keep) + u + bias
        v = full.clamp(-STATE_LIMIT, STATE_LIMIT)
        clipped += int((full != v).sum())
        if not neuron.readout:
            fired = v > (vth << STATE_SHIFT)
            spikes[:, t] = fired
            if neuron.reset is not Reset.NONE:
                v = torch.where(fired, v - (vth << STATE_SHIFT) if neuron.reset is Reset.SOFT else 0, v)
        potentials[:, t] = v
    return spikes, potentials, clipped


def _decayed(x: Tensor, keep: int | Tensor) -> Tensor:
    return x.sign() * ((x.abs() * keep) >> DECAY_BITS)
