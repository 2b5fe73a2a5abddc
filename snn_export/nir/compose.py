"""Two linear maps in a row as one, exactly: pooling with a convolution, or with a matrix behind it."""

from __future__ import annotations

import itertools
from typing import TypeAlias

import numpy as np

from snn_export.network import Conv2d, Dense, IntArray, SumPool2d

Weighted: TypeAlias = Conv2d | Dense | SumPool2d
Shape: TypeAlias = tuple[int, ...]


def compose(first: Weighted, second: Weighted, shape: Shape) -> Conv2d | Dense:
    """The map `second` after `first`, for a source of `shape`.

    Raises:
        ValueError: where there is no single convolution or matrix that does it, or none small enough to be meant.
    """
    if isinstance(first, Dense):
        raise ValueError("two weighted layers follow each other without neurons between them")
    front = as_conv(first, shape[0])
    middle = front.output_shape(shape)
    if isinstance(second, Dense):
        second.output_shape(middle)
        return Dense(_spread(front, second.weight, shape, middle))
    back = as_conv(second, middle[0])
    if not (_per_channel(front) or _per_channel(back)):
        raise ValueError("two convolutions follow each other without neurons between them")
    back.output_shape(middle)
    _check_padding(front, back, shape, middle)
    stride = (front.stride[0] * back.stride[0], front.stride[1] * back.stride[1])
    padding = tuple(p + q * s for p, q, s in zip(front.padding, back.padding, front.stride, strict=True))
    groups = back.groups if _per_channel(front) else front.groups
    return Conv2d(_product(front, back), stride, (padding[0], padding[1]), (1, 1), groups)


def as_conv(synapse: Conv2d | SumPool2d, channels: int) -> Conv2d:
    """Pooling as a convolution of float64 weights, with one group per channel."""
    if isinstance(synapse, Conv2d):
        return synapse
    weight = np.ones((channels, 1, *synapse.kernel))
    return Conv2d(weight, synapse.stride, synapse.padding, groups=channels)


def _per_channel(conv: Conv2d) -> bool:
    """Whether each channel becomes one channel, by itself."""
    return conv.groups == conv.weight.shape[0] and conv.weight.shape[1] == 1


def _product(front: Conv2d, back: Conv2d) -> IntArray:
    """Kernel of the composition, tap by tap of the one behind."""
    outer = _pick(front, back)
    spans = [d * (n - 1) + 1 for d, n in zip(front.dilation, front.weight.shape[2:], strict=True)]
    steps = [s * d for s, d in zip(front.stride, back.dilation, strict=True)]
    size = [step * (n - 1) + span for step, n, span in zip(steps, back.weight.shape[2:], spans, strict=True)]
    inner = front.weight.shape[1] if _per_channel(back) and not _per_channel(front) else back.weight.shape[1]
    kernel = np.zeros((back.weight.shape[0], inner, *size))
    for y, x in itertools.product(*map(range, back.weight.shape[2:])):
        rows = slice(y * steps[0], y * steps[0] + spans[0], front.dilation[0])
        columns = slice(x * steps[1], x * steps[1] + spans[1], front.dilation[1])
        kernel[:, :, rows, columns] += back.weight[:, :, y, x, None, None] * outer
    return kernel


def _pick(front: Conv2d, back: Conv2d) -> IntArray:
    """The front kernel that each weight of the back one meets, to broadcast over [out, in, rows, columns]."""
    if not _per_channel(front):
        return front.weight
    per_group = back.weight.shape[0] // back.groups
    channels = np.arange(front.weight.shape[0]).reshape(back.groups, -1).repeat(per_group, axis=0)
    return np.asarray(front.weight[channels, 0])


def _check_padding(front: Conv2d, back: Conv2d, shape: Shape, middle: Shape) -> None:
    """Padding between the two is zeros; it is the same as padding in front only where no window reaches back."""
    for axis in (0, 1):
        reach = front.dilation[axis] * (front.weight.shape[2 + axis] - 1) - front.padding[axis]
        left = middle[1 + axis] * front.stride[axis] - front.padding[axis]
        if back.padding[axis] and (reach >= front.stride[axis] or left < shape[1 + axis]):
            raise ValueError("its padding follows pooling whose windows overlap or leave rows over")


def _spread(front: Conv2d, weight: IntArray, shape: Shape, middle: Shape) -> IntArray:
    """The matrix behind `front` as one over its source [out, C H W]."""
    if not _per_channel(front):
        raise ValueError("a matrix follows a convolution without neurons between them")
    back = weight.reshape(-1, *middle)
    (py, px), (sy, sx) = front.padding, front.stride
    full = np.zeros((back.shape[0], shape[0], shape[1] + 2 * py, shape[2] + 2 * px))
    for y, x in itertools.product(*map(range, front.weight.shape[2:])):
        top, left = y * front.dilation[0], x * front.dilation[1]
        rows = slice(top, top + sy * (middle[1] - 1) + 1, sy)
        columns = slice(left, left + sx * (middle[2] - 1) + 1, sx)
        full[:, :, rows, columns] += back * front.weight[:, 0, y, x, None, None]
    return full[:, :, py : py + shape[1], px : px + shape[2]].reshape(back.shape[0], -1)
