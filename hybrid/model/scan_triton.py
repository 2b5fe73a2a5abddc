"""The scans of `hybrid.model.scan` as Triton kernels: one launch for all steps, states in registers.

A program of the grid takes `BLOCK` neurons of one sample through all steps, so that every value is read and written
once. Float sums may differ from torch's by a fused multiply-add; integers are exact.
"""

# Triton gives the arguments of kernels their types
# ruff: noqa: ANN001
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call, import-untyped, import-not-found"
# no `from __future__ import annotations`: Triton's interpreter reads the annotations of kernels

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from snn_export.network import DECAY_BITS, STATE_LIMIT, STATE_SHIFT, Layer, Reset

BLOCK = 256
_RESETS = {"none": 0, "soft": 1, "zero": 2}


@triton.jit
def _forward(
    current, keep_at, threshold_at, potentials, spikes, size, steps, RESET: tl.constexpr, BLOCK: tl.constexpr
) -> None:  # fmt: skip
    sample, i = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    keep, threshold = tl.load(keep_at), tl.load(threshold_at)
    at = sample * steps * size + i
    v = tl.zeros([BLOCK], tl.float32)
    for _ in range(steps):
        v = v + (1 - keep) * (tl.load(current + at, inside) - v)
        fired = tl.where(v > threshold, 1.0, 0.0)
        tl.store(potentials + at, v, inside)
        tl.store(spikes + at, fired, inside)
        if RESET == 1:
            v = v - fired * threshold
        if RESET == 2:
            v = v * (1 - fired)
        at += size


@triton.jit
def _backward(
    grad, current, keep_at, threshold_at, potentials, spikes, grad_current, of_keep, of_threshold, size, steps, width,
    half_pi, RESET: tl.constexpr, BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    sample, i = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    keep, threshold = tl.load(keep_at), tl.load(threshold_at)
    at = sample * steps * size + (steps - 1) * size + i
    after = tl.zeros([BLOCK], tl.float32)
    sum_keep, sum_threshold = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for back in range(steps):
        earlier = inside & (0 * i + back < steps - 1)  # a block, since Triton's interpreter joins no mask and number
        v, fired = tl.load(potentials + at, inside, 0.0), tl.load(spikes + at, inside, 0.0)
        before = tl.load(potentials + (at - size), earlier, 0.0)
        fired_before = tl.load(spikes + (at - size), earlier, 0.0)
        turn = half_pi * width * (v - threshold)
        slope = width / 2 / (1 + turn * turn)
        of_spike = tl.load(grad + at, inside, 0.0)
        if RESET == 1:
            of_spike = of_spike - threshold * after
            before = before - fired_before * threshold
        if RESET == 2:
            of_spike = of_spike - v * after
            before = before * (1 - fired_before)
            after = after * (1 - fired)
        of_v = after + of_spike * slope
        sum_keep += of_v * (before - tl.load(current + at, inside, 0.0))
        sum_threshold -= of_spike * slope
        if RESET == 1:
            sum_threshold -= of_v * keep * fired_before
        tl.store(grad_current + at, of_v * (1 - keep), inside)
        after = keep * of_v
        at -= size
    tl.store(of_keep + sample * size + i, sum_keep, inside)
    tl.store(of_threshold + sample * size + i, sum_threshold, inside)


@triton.jit
def _integers(
    sums, keep_at, vth_at, bias_at, clears_at, spikes, potentials, clipped, size, steps, channels, ukeep,
    LIMIT: tl.constexpr, DECAY: tl.constexpr, SHIFT: tl.constexpr, RESET: tl.constexpr, READOUT: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:  # fmt: skip
    sample, i = tl.program_id(1).to(tl.int64), tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < size
    channel = i % channels
    keep = tl.load(keep_at + channel, inside, 0).to(tl.int64)
    bias = tl.load(bias_at + channel, inside, 0).to(tl.int64)
    threshold = tl.load(vth_at + channel, inside, 0).to(tl.int64) << SHIFT
    at = sample * steps * size + i
    u, v = tl.zeros([BLOCK], tl.int64), tl.zeros([BLOCK], tl.int64)
    count = tl.zeros([BLOCK], tl.int64)
    for t in range(steps):
        held = 1 - tl.load(clears_at + t).to(tl.int64)
        u, v = u * held, v * held
        a = tl.load(sums + at, inside, 0.0).to(tl.int64)
        # the magnitude is shifted, so that the cut is toward zero
        u = tl.where(u < 0, 0 - (((0 - u) * ukeep) >> DECAY), (u * ukeep) >> DECAY) + (a << SHIFT)
        full = tl.where(v < 0, 0 - (((0 - v) * keep) >> DECAY), (v * keep) >> DECAY) + u + bias
        v = tl.where(full > LIMIT, LIMIT, tl.where(full < 0 - LIMIT, 0 - LIMIT, full))
        count += tl.where(v != full, 1, 0)
        if READOUT == 0:
            fired = v > threshold
            tl.store(spikes + at, tl.where(fired, 1.0, 0.0), inside)
            if RESET == 1:
                v = tl.where(fired, v - threshold, v)
            if RESET == 2:
                v = tl.where(fired, 0, v)
        tl.store(potentials + at, v.to(tl.float32), inside)  # exact below 2^24
        at += size
    tl.store(clipped + sample * size + i, count, inside)


def scan(current: Tensor, keep: Tensor, threshold: Tensor, reset: str) -> tuple[Tensor, Tensor]:
    """See `hybrid.model.scan.scan`."""
    current, grid, size = _laid_out(current)
    potentials, spikes = torch.empty_like(current), torch.empty_like(current)
    _forward[grid](
        current, keep, threshold, potentials, spikes, size, current.shape[1], RESET=_RESETS[reset], BLOCK=BLOCK
    )
    return potentials, spikes


def gradients(
    grad: Tensor, current: Tensor, keep: Tensor, threshold: Tensor, potentials: Tensor, spikes: Tensor,
    width: float, reset: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """See `hybrid.model.scan.gradients`."""
    current, grid, size = _laid_out(current)
    out = torch.empty_like(current)
    of_keep, of_threshold = torch.empty(2, len(current), size, device=current.device)
    _backward[grid](
        grad.contiguous(), current, keep, threshold, potentials, spikes, out, of_keep, of_threshold, size,
        current.shape[1], width, math.pi / 2, RESET=_RESETS[reset], BLOCK=BLOCK,
    )  # fmt: skip
    return out, of_keep.sum(), of_threshold.sum()


def integer_scan(sums: Tensor, layer: Layer) -> tuple[Tensor, Tensor, int]:
    """See `hybrid.model.scan.integer_scan`."""
    sums, grid, size = _laid_out(sums)
    neuron, (steps, channels) = layer.neuron, (sums.shape[1], sums.shape[-1])

    def constant(value: Any) -> Tensor:
        return torch.as_tensor(value.astype("int32"), device=sums.device).expand(channels).contiguous()

    clears = torch.tensor([int(neuron.clears_before(t)) for t in range(steps)], dtype=torch.int32, device=sums.device)
    spikes, potentials = torch.zeros_like(sums), torch.empty_like(sums)
    clipped = torch.empty(len(sums), size, dtype=torch.int64, device=sums.device)
    reset = {Reset.NONE: 0, Reset.SOFT: 1, Reset.ZERO: 2}[neuron.reset]
    _integers[grid](
        sums, constant(neuron.keep), constant(neuron.vth), constant(neuron.bias), clears, spikes, potentials, clipped,
        size, steps, channels, int(neuron.ukeep), LIMIT=STATE_LIMIT, DECAY=DECAY_BITS, SHIFT=STATE_SHIFT, RESET=reset,
        READOUT=int(neuron.readout), BLOCK=BLOCK,
    )  # fmt: skip
    return spikes, potentials.to(torch.int32), int(clipped.sum())


def _laid_out(values: Tensor) -> tuple[Tensor, tuple[int, int], int]:
    """Contiguous values [B, T, ...], the grid, and the neurons of a sample."""
    size = math.prod(values.shape[2:])
    return values.contiguous(), (triton.cdiv(size, BLOCK), len(values)), size
