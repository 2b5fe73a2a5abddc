"""The patterns of synapses between two populations.

Weights are int8 in a fixed-point network, float32 or float64 in a float one. Each class says what it produces
from a source of some shape (`output_shape`), and the sums of its positive and of its negative weights per
output channel (`reach`), from which the accumulator's bound follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from snn_export.network.contract import IntArray

Reach: TypeAlias = tuple[IntArray, IntArray]


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d:
    """Cross-correlation as torch's conv2d, zero padding.

    Attributes:
        weight: [out channels, in channels / groups, kernel height, kernel width].
        stride: step of the kernel (rows, columns).
        padding: zeros added on each side (rows, columns).
        dilation: distance between taps (rows, columns).
        groups: number of blocks the channels are split into.
    """

    weight: IntArray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (C, H, W) of the result for an input of `shape`; ValueError says why there is none."""
        if len(shape) != 3:
            raise ValueError(f"a convolution needs (C, H, W), not {shape}")
        out_channels, in_per_group, *kernel = self.weight.shape
        if self.groups < 1 or shape[0] != in_per_group * self.groups or out_channels % self.groups:
            raise ValueError(f"weight {self.weight.shape} with {self.groups} groups does not take {shape[0]} channels")
        size = []
        for axis in (0, 1):
            span = self.dilation[axis] * (kernel[axis] - 1) + 1
            free = shape[axis + 1] + 2 * self.padding[axis] - span
            if min(self.stride[axis], self.dilation[axis]) < 1 or self.padding[axis] < 0 or free < 0:
                raise ValueError(f"kernel {tuple(kernel)} does not fit an input of {shape}")
            size.append(free // self.stride[axis] + 1)
        return (out_channels, *size)

    def reach(self) -> Reach:
        """Sums of the positive and of the negative weights, each [out channels]."""
        return _reach(self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """All-to-all connection; the input is flattened in C order.

    Attributes:
        weight: [out features, in features].
    """

    weight: IntArray

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (N,) of the result for an input of `shape`; ValueError says why there is none."""
        if int(np.prod(shape)) != self.weight.shape[1]:
            raise ValueError(f"weight {self.weight.shape} does not take {int(np.prod(shape))} values")
        return (self.weight.shape[0],)

    def reach(self) -> Reach:
        """Sums of the positive and of the negative weights, each [out features]."""
        return _reach(self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A list of single synapses, sorted by target and then by source; the input is flattened in C order.

    Attributes:
        weight: one number per synapse [S]; a zero is a synapse that does nothing.
        rows: the target of each synapse, int32 [S].
        columns: the source of each synapse, int32 [S].
        size: out features, in features.
    """

    weight: IntArray
    rows: IntArray
    columns: IntArray
    size: tuple[int, int]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (N,) of the result for an input of `shape`; ValueError says why there is none."""
        if int(np.prod(shape)) != self.size[1]:
            raise ValueError(f"synapses of size {self.size} do not take {int(np.prod(shape))} values")
        return (self.size[0],)

    def reach(self) -> Reach:
        """Sums of the positive and of the negative weights, each [out features]."""
        weight: IntArray = self.weight.astype(_wide(self.weight))
        positive, negative = np.zeros((2, self.size[0]), weight.dtype)
        np.add.at(positive, self.rows, np.maximum(weight, 0))
        np.add.at(negative, self.rows, np.minimum(weight, 0))
        return positive, negative


@dataclass(frozen=True, slots=True)
class SumPool2d:
    """Sum of each channel over windows, zero padding: synapses of weight 1.

    Attributes:
        kernel: size of the window (rows, columns).
        stride: step of the window (rows, columns).
        padding: zeros added on each side (rows, columns).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)

    def as_conv2d(self, channels: int) -> Conv2d:
        """The same synapses as a convolution with one group per channel and int8 weights of 1."""
        return Conv2d(np.ones((channels, 1, *self.kernel), np.int8), self.stride, self.padding, groups=channels)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (C, H, W) of the result for an input of `shape`; ValueError says why there is none."""
        if len(shape) != 3 or min(self.kernel) < 1:
            raise ValueError(f"pooling windows of {self.kernel} need (C, H, W), not {shape}")
        return self.as_conv2d(shape[0]).output_shape(shape)

    def reach(self) -> Reach:
        """Sums of the positive and of the negative weights, each [1]: all channels have the same."""
        return np.array([self.kernel[0] * self.kernel[1]]), np.zeros(1, np.int64)


Weighted: TypeAlias = Conv2d | Dense | Sparse
Synapse: TypeAlias = Weighted | SumPool2d


def weighted(synapse: Synapse, shape: tuple[int, ...]) -> Weighted:
    """The synapses from a source of `shape` with all weights written out: pooling becomes a convolution."""
    return synapse.as_conv2d(shape[0]) if isinstance(synapse, SumPool2d) else synapse


def _wide(weight: IntArray) -> type:
    return np.int64 if weight.dtype.kind in "iu" else np.float64


def _reach(weight: IntArray) -> Reach:
    flat: IntArray = weight.reshape(weight.shape[0], -1).astype(_wide(weight))
    return np.maximum(flat, 0).sum(1), np.minimum(flat, 0).sum(1)
