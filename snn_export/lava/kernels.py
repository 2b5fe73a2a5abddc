"""The contract's arithmetic on float arrays, exact and fast: what a fused process computes each step.

float32 holds every integer up to 2^24. The network proves |a| < 2^17 by intervals that contain 0, so that
each product and each partial sum, in whatever order a matrix product takes them, lies within the same bound:
the accumulator is exact in float32 for graded input as well as for spikes. The state is float64: v times a
12-bit constant stays under 2^36, and the current under 2^53 for any GOP shorter than 2^30 steps.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from snn_export.network import (
    DECAY_BITS,
    STATE_LIMIT,
    STATE_SHIFT,
    Conv2d,
    Dense,
    IntArray,
    Layer,
    Reset,
    Synapse,
)

BAND_BYTES = 2**20
"""Columns are gathered in bands of about this size, which stay in the second-level cache."""


class Accumulate(Protocol):
    """Line 1 of the contract for one connection."""

    def __call__(self, s: IntArray) -> IntArray:
        """Map s, of the source's shape, to a, float32 of the layer's shape; the next call overwrites it."""
        ...


def accumulate(synapse: Synapse, shape: tuple[int, ...]) -> Accumulate:
    """The kernel of `synapse` for a source of `shape`."""
    return DenseKernel(synapse) if isinstance(synapse, Dense) else ConvKernel(synapse, shape)


class DenseKernel:
    """Matrix times flattened input."""

    def __init__(self, synapse: Dense) -> None:
        self._weight = synapse.weight.astype(np.float32)

    def __call__(self, s: IntArray) -> IntArray:
        """a [N], float32, for s of any shape of the right size."""
        return np.asarray(self._weight @ s.reshape(-1).astype(np.float32))


class ConvKernel:
    """Cross-correlation as a matrix product over gathered columns, one band of rows after the other."""

    def __init__(self, synapse: Conv2d, shape: tuple[int, ...]) -> None:
        out_channels, height, width = synapse.output_shape(shape)
        (dy, dx), (py, px), (ey, ex) = synapse.stride, synapse.padding, synapse.dilation
        groups, (per_group, kh, kw) = synapse.groups, synapse.weight.shape[1:]
        padded = np.zeros((shape[0], shape[1] + 2 * py, shape[2] + 2 * px), np.float32)
        self._inside = padded[:, py : py + shape[1], px : px + shape[2]]
        windows = sliding_window_view(padded, (1, ey * (kh - 1) + 1, ex * (kw - 1) + 1))[:, :, :, 0]
        self._taps = windows[:, ::dy, ::dx, ::ey, ::ex].transpose(0, 3, 4, 1, 2)
        depth = per_group * kh * kw
        self._weight = synapse.weight.astype(np.float32).reshape(groups, out_channels // groups, depth)
        rows = max(1, min(height, BAND_BYTES // (4 * shape[0] * kh * kw * width)))
        self._bands = [(row, min(row + rows, height)) for row in range(0, height, rows)]
        self._columns = np.empty((shape[0], kh, kw, rows, width), np.float32)
        self._a = np.empty((out_channels, height, width), np.float32)

    def __call__(self, s: IntArray) -> IntArray:
        """a [C, H, W], float32, for s [C, H, W]."""
        self._inside[...] = s
        groups, out_per_group, depth = self._weight.shape
        for low, high in self._bands:
            columns = self._columns[:, :, :, : high - low]
            columns[...] = self._taps[:, :, :, low:high]
            product = self._weight @ columns.reshape(groups, depth, -1)
            self._a[:, low:high] = product.reshape(groups * out_per_group, high - low, -1)
        return self._a


class Population:
    """Lines 2 to 5 of the contract: the state of one layer.

    Attributes:
        v: membrane potential after the last reset, float64 holding integers, of the layer's shape.
        saturations: how many potentials were clipped so far.
    """

    def __init__(self, layer: Layer) -> None:
        neuron, rest = layer.neuron, (1,) * (len(layer.shape) - 1)
        self._keep = neuron.keep.astype(np.float64).reshape(-1, *rest) / 2**DECAY_BITS
        self._ukeep = neuron.ukeep / 2**DECAY_BITS
        self._bias = neuron.bias.astype(np.float64).reshape(-1, *rest)
        self._threshold = neuron.vth.astype(np.float64).reshape(-1, *rest) * 2**STATE_SHIFT
        self._reset = Reset.NONE if neuron.readout else neuron.reset
        self._silent = neuron.readout
        self.v, self._u = np.zeros(layer.shape), np.zeros(layer.shape)
        self.saturations = 0

    def clear(self) -> None:
        """Return all state to 0."""
        self.v[...] = 0
        self._u[...] = 0

    def step(self, a: IntArray) -> IntArray:
        """Integrate the accumulator and return the spikes, bool of the layer's shape."""
        v, u = self.v, self._u
        # the decay's law is sign(x) * ((|x| * keep) >> 12), which is a truncation toward zero
        if self._ukeep:
            u *= self._ukeep
            np.trunc(u, out=u)
            u += a * np.float32(2**STATE_SHIFT)
        else:
            np.multiply(a, 2**STATE_SHIFT, out=u)
        v *= self._keep
        np.trunc(v, out=v)
        v += u
        if self._bias.any():
            v += self._bias
        if max(-v.min(), v.max()) > STATE_LIMIT:
            self.saturations += int(np.count_nonzero(np.abs(v) > STATE_LIMIT))
            np.clip(v, -STATE_LIMIT, STATE_LIMIT, out=v)
        if self._silent:
            return np.zeros(v.shape, np.bool_)
        fired = v > self._threshold
        if self._reset is Reset.ZERO:
            np.copyto(v, 0.0, where=fired)
        elif self._reset is Reset.SOFT:
            np.subtract(v, self._threshold, out=v, where=fired)
        return np.asarray(fired)
