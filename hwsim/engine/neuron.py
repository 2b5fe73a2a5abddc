"""Lines 2 to 5 of the contract in torch, in int32 where that is exact and int64 where it is not.

The decay ``sign(v) * ((|v| * keep) >> 12)`` needs 35 bits. With v = 4096 h + l (h floored, 0 <= l < 4096) it
is ``h * keep + ((l * keep) >> 12)`` for v >= 0, and the same with 4095 added to the product for v < 0, which
turns the floor into a truncation toward zero. Every term is below 2^24, so int32 is enough.
"""

from __future__ import annotations

import torch

from hwsim.engine.kernels import CURRENT_LIMIT
from hwsim.mapping.geometry import shape3
from snn_export.network import (
    DECAY_BITS,
    STATE_LIMIT,
    STATE_SHIFT,
    IntArray,
    Layer,
    Reset,
)

_FRACTION = 2**DECAY_BITS - 1
_SCALE = 2**STATE_SHIFT


class Neurons:
    """The state of one layer for a batch of GOPs, all tensors [G, H, W, C].

    Attributes:
        v: membrane potentials, int32.
        fired: spikes of the last step, 0 or 1, float32.
        saturations: potentials clipped since the start.
        wraps: synaptic currents that left 24 bits since the start.
    """

    def __init__(self, layer: Layer, gops: int, peak: int, device: torch.device) -> None:
        """Start from zero state; `peak` is the proven bound on |a|."""
        channels, height, width = shape3(layer.shape)
        neuron = layer.neuron
        shape = (gops, height, width, channels)
        self.v = torch.zeros(shape, dtype=torch.int32, device=device)
        self.fired = torch.zeros(shape, dtype=torch.float32, device=device)
        self._u = torch.zeros(shape, dtype=torch.int64, device=device) if neuron.ukeep else None
        self._one, self._two = torch.empty_like(self.v), torch.empty_like(self.v)
        self._keep, self._bias = _constant(neuron.keep, device), _constant(neuron.bias, device)
        self._threshold = _constant(neuron.vth * _SCALE, device)
        self._has_bias = bool(neuron.bias.any())
        self._neuron = neuron
        self._bounded = bounded(layer, peak)
        self.saturations = 0
        self.wraps = 0

    def stirred(self) -> torch.Tensor:
        """Bool [G, H, W, C]: neurons with state or bias, which change even without input."""
        still = (self.v == 0) & (self._bias == 0)
        return ~(still if self._u is None else still & (self._u == 0))

    def clear(self) -> None:
        """Return all state to 0."""
        self.v.zero_()
        if self._u is not None:
            self._u.zero_()

    def step(self, a: torch.Tensor) -> None:
        """One step from the sums `a`, float32 [G, H, W, C]; the spikes are then in `fired`."""
        if self._u is None:
            self._decay()
            self._one.copy_(a)
            self.v.add_(self._one, alpha=_SCALE)
            if self._has_bias:
                self.v.add_(self._bias)
            if not self._bounded:
                self._clip(self.v)
        else:
            self._with_current(a, self._u)
        if self._neuron.readout:
            return
        torch.gt(self.v, self._threshold, out=self.fired)
        if self._neuron.reset is Reset.ZERO:
            torch.le(self.v, self._threshold, out=self._one)
            self.v.mul_(self._one)
        elif self._neuron.reset is Reset.SOFT:
            torch.gt(self.v, self._threshold, out=self._one)
            self.v.sub_(self._one.mul_(self._threshold))

    def _decay(self) -> None:
        v, low, high = self.v, self._one, self._two
        torch.bitwise_right_shift(v, 31, out=low)
        low.bitwise_and_(_FRACTION)
        torch.bitwise_right_shift(v, DECAY_BITS, out=high)
        v.bitwise_and_(_FRACTION).mul_(self._keep).add_(low).bitwise_right_shift_(DECAY_BITS)
        v.add_(high.mul_(self._keep))

    def _with_current(self, a: torch.Tensor, u: torch.Tensor) -> None:
        """Synaptic current memory: u is not clipped by the contract, so everything is int64."""
        u.copy_(_decay64(u, int(self._neuron.ukeep))).add_(a.to(torch.int64), alpha=_SCALE)
        low, high = torch.aminmax(u)
        if int(low) < -CURRENT_LIMIT or int(high) >= CURRENT_LIMIT:
            self.wraps += int(((u < -CURRENT_LIMIT) | (u >= CURRENT_LIMIT)).sum())
        full = _decay64(self.v.to(torch.int64), self._keep).add_(u).add_(self._bias)
        self._clip(full)
        self.v.copy_(full)

    def _clip(self, full: torch.Tensor) -> None:
        low, high = torch.aminmax(full)
        if int(low) < -STATE_LIMIT or int(high) > STATE_LIMIT:
            self.saturations += int((full.abs() > STATE_LIMIT).sum())
            full.clamp_(-STATE_LIMIT, STATE_LIMIT)


def _decay64(x: torch.Tensor, keep: int | torch.Tensor) -> torch.Tensor:
    return x.sign() * ((x.abs() * keep) >> DECAY_BITS)


def _constant(value: IntArray, device: torch.device) -> torch.Tensor:
    """A constant of shape (1,) or (C,): channels are the last dimension here."""
    return torch.as_tensor(value.astype("int32"), device=device)


def bounded(layer: Layer, peak: int) -> bool:
    """Whether no potential can reach the clip: |v| <= peak input / (1 - keep), whatever the resets."""
    most = (peak * _SCALE + int(abs(layer.neuron.bias).max())) * 2**DECAY_BITS
    return bool(most < STATE_LIMIT * (2**DECAY_BITS - int(layer.neuron.keep.max())))
