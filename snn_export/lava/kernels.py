"""Line 1 of the contract on float arrays, exact and fast: the accumulator of a fused process.

float32 holds every integer up to 2^24. A fixed-point network proves |a| < 2^17 by intervals that contain 0, so
that each product and each partial sum, in whatever order a matrix product takes them, lies within the same
bound: the accumulator is exact in float32 for graded input as well as for spikes. Float networks use float64.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import sparse

from snn_export.network import Conv2d, Dense, IntArray, Sparse, Synapse, weighted

BAND_BYTES = 2**20
"""Columns are gathered in bands of about this size, which stay in the second-level cache."""


class Accumulate(Protocol):
    """Line 1 of the contract for one connection."""

    def __call__(self, s: IntArray) -> IntArray:
        """Map s, of the source's shape, to a, of the layer's shape; the next call overwrites it."""
        ...


def accumulate(synapse: Synapse, shape: tuple[int, ...], number: type[np.floating[Any]]) -> Accumulate:
    """The kernel of `synapse` for a source of `shape`, computing in `number`."""
    plain = weighted(synapse, shape)
    return ConvKernel(plain, shape, number) if isinstance(plain, Conv2d) else MatrixKernel(plain, number)


class MatrixKernel:
    """Matrix, full or sparse, times flattened input."""

    def __init__(self, synapse: Dense | Sparse, number: type[np.floating[Any]]) -> None:
        weight = synapse.weight.astype(number)
        self._number = number
        self._matrix: Any = weight
        if isinstance(synapse, Sparse):
            self._matrix = sparse.csr_matrix((weight, (synapse.rows, synapse.columns)), synapse.size)

    def __call__(self, s: IntArray) -> IntArray:
        """a [N] for s of any shape of the right size."""
        return np.asarray(self._matrix @ s.reshape(-1).astype(self._number))


class ConvKernel:
    """Cross-correlation as a matrix product over gathered columns, one band of rows after the other."""

    def __init__(self, synapse: Conv2d, shape: tuple[int, ...], number: type[np.floating[Any]]) -> None:
        out_channels, height, width = synapse.output_shape(shape)
        (dy, dx), (py, px), (ey, ex) = synapse.stride, synapse.padding, synapse.dilation
        groups, (per_group, kh, kw) = synapse.groups, synapse.weight.shape[1:]
        self._a = np.empty((out_channels, height, width), number)
        padded = np.zeros((shape[0], shape[1] + 2 * py, shape[2] + 2 * px), number)
        self._inside = padded[:, py : py + shape[1], px : px + shape[2]]
        windows = sliding_window_view(padded, (1, ey * (kh - 1) + 1, ex * (kw - 1) + 1))[:, :, :, 0]
        self._taps = windows[:, ::dy, ::dx, ::ey, ::ex].transpose(0, 3, 4, 1, 2)
        depth = per_group * kh * kw
        self._weight = synapse.weight.astype(number).reshape(groups, out_channels // groups, depth)
        rows = max(1, min(height, BAND_BYTES // (self._a.itemsize * shape[0] * kh * kw * width)))
        self._bands = [(row, min(row + rows, height)) for row in range(0, height, rows)]
        self._columns = np.empty((shape[0], kh, kw, rows, width), number)

    def __call__(self, s: IntArray) -> IntArray:
        """a [C, H, W] for s [C, H, W]."""
        self._inside[...] = s
        groups, out_per_group, depth = self._weight.shape
        for low, high in self._bands:
            columns = self._columns[:, :, :, : high - low]
            columns[...] = self._taps[:, :, :, low:high]
            product = self._weight @ columns.reshape(groups, depth, -1)
            self._a[:, low:high] = product.reshape(groups * out_per_group, high - low, -1)
        return self._a
