"""Connections made ready for single events: where each event's weights lie, and which sums they are added to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hwsim.engine.kernels import Block, Fan, scatter, scatter_list
from hwsim.engine.lanes import SCANNED, WIDTH
from hwsim.mapping.geometry import Shape3, shape3
from snn_export.network import Conv2d, Dense, IntArray, Layer, Sparse, Weighted, weighted

Add = Callable[[IntArray, Block], None]
"""Adds what values [steps, rows, row] cause to a block."""
Rows = tuple[int, int]
"""First row and one past the last."""


def padded(shape: Shape3) -> int:
    """Values from one row to the next: channels last, filled up to what the kernels look at together."""
    return -(-shape[0] * shape[2] // SCANNED) * SCANNED


@dataclass(frozen=True, slots=True)
class Lattice:
    """How the sums of a layer lie in memory.

    Attributes:
        shape: channels, rows, columns.
        columns: columns before the first one, for sums that fall on padding.
        stride: sums from one row to the next.
    """

    shape: Shape3
    columns: int
    stride: int

    @property
    def margin(self) -> int:
        """Sums before the first place of a row."""
        return self.columns * self.shape[0]

    def size(self, rows: Rows, steps: int) -> int:
        """Sums of some rows over some steps, with room for what is looked at past the end."""
        return (rows[1] - rows[0]) * self.stride * steps + padded(self.shape) + self.margin

    def block(self, rows: Rows, steps: int, kind: type) -> Block:
        """Zero sums for some rows over some steps."""
        return Block(np.zeros(self.size(rows, steps), kind), self.stride, self.margin, *rows)


def lattice(layer: Layer, sources: Mapping[str, tuple[int, ...]]) -> Lattice:
    """Rows wide enough for everything that the layer's convolutions add beyond their ends."""
    shape = shape3(layer.shape)
    before, width, run = 0, shape[2], WIDTH
    for connection in layer.connections:
        synapse = weighted(connection.synapse, sources[connection.source])
        if isinstance(synapse, Conv2d):
            first, taps = columns_of(synapse, shape3(sources[connection.source])[2])
            before, width = max(before, -int(first.min())), max(width, int(first.max()) + taps)
            run = max(run, _run(synapse, taps))
    return Lattice(shape, before, max((before + width) * shape[0] + run, padded(shape)))


def event_op(synapse: Weighted, source: tuple[int, ...], target: Lattice, rows: Rows) -> Add:
    """Make synapses ready for the events that reach some rows of their layer.

    Args:
        synapse: the synapses.
        source: shape of where the events come from.
        target: the layer's sums.
        rows: the rows; all of them for a matrix or a list.
    """
    if isinstance(synapse, Sparse):
        return partial(scatter_list, *_list(synapse, shape3(source)))
    if isinstance(synapse, Dense):
        return partial(scatter, _matrix(synapse, shape3(source)))
    return partial(scatter, _convolution(synapse, shape3(source), target, rows))


def vectors_of(synapse: Weighted, source: tuple[int, ...], target: Lattice) -> float:
    """Vectors of weights that an event adds, on average; for a list, synapses."""
    if isinstance(synapse, Sparse):
        return synapse.weight.size / math.prod(source)
    if isinstance(synapse, Dense):
        return _whole(len(synapse.weight)) / WIDTH
    _, height, width = shape3(source)
    taps = columns_of(synapse, width)[1]
    runs = rows_of(synapse, height, (0, target.shape[1]))[1].mean() * (taps if synapse.groups > 1 else 1)
    return float(runs) * _run(synapse, taps) / WIDTH


def columns_of(conv: Conv2d, width: int) -> tuple[IntArray, int]:
    """The first column that each column of the source reaches, maybe before 0, and the most that one reaches."""
    taps, stride = (conv.weight.shape[3] - 1) * conv.dilation[1] + 1, conv.stride[1]
    place = np.arange(width) + conv.padding[1]
    phase = place % stride
    return (place - phase) // stride - (taps - 1 - phase) // stride, -(-taps // stride)


def _run(conv: Conv2d, taps: int) -> int:
    """Sums next to each other that one row of a kernel reaches, in whole vectors; per column where groups part them."""
    channels = conv.weight.shape[0]
    return _whole(channels // conv.groups if conv.groups > 1 else taps * channels)


def _convolution(conv: Conv2d, source: Shape3, target: Lattice, rows: Rows) -> Fan:
    channels, height, width = source
    out, _, kernel_rows, _ = conv.weight.shape
    first, taps = columns_of(conv, width)
    run, segments = _run(conv, taps), taps if conv.groups > 1 else 1
    weights = phases(conv, taps)  # [channels, phases, kernel rows, taps, out channels of a group]
    weights = _filled(weights.reshape(*weights.shape[:3], segments, -1), run)
    phase = (np.arange(width) + conv.padding[1]) % conv.stride[1]
    channel = np.arange(channels)
    weight_at = (phase[:, None] + channel * conv.stride[1]) * (kernel_rows * segments * run)
    sum_at = (first + target.columns)[:, None] * out + channel // (channels // conv.groups) * (out // conv.groups)
    offsets, count = rows_of(conv, height, rows)
    runs = np.arange(segments) * np.array([[run], [out]])  # weights and sums from one run of a row to the next
    offsets = offsets * [segments * run, target.stride]
    offsets = np.ascontiguousarray((offsets[:, :, None] + runs.T).reshape(height, -1, 2))
    return Fan(weights.reshape(-1), weight_at.reshape(-1), sum_at.reshape(-1), offsets, count * segments, run)


def phases(conv: Conv2d, taps: int) -> IntArray:
    """Weights by where a column stands in the stride: from the tap that reaches the first column on, gaps at 0."""
    out, per_group, kernel_rows, kernel_columns = conv.weight.shape
    stride, dilation = conv.stride[1], conv.dilation[1]
    last = (kernel_columns - 1) * dilation
    spread = np.zeros((out, per_group, kernel_rows, last + 1), np.int8)
    spread[..., ::dilation] = conv.weight
    grouped = spread.reshape(conv.groups, out // conv.groups, per_group, kernel_rows, last + 1)
    found = np.zeros((conv.groups, per_group, stride, kernel_rows, taps, out // conv.groups), np.int8)
    for phase in range(min(stride, last + 1)):
        reached = grouped[..., phase::stride][..., ::-1]
        found[:, :, phase, :, : reached.shape[-1]] = reached.transpose(0, 2, 3, 4, 1)
    return found.reshape(-1, *found.shape[2:])


def rows_of(conv: Conv2d, height: int, rows: Rows) -> tuple[IntArray, IntArray]:
    """For each row of the source, pairs of kernel row and target row, counted from `rows[0]`, and how many."""
    kernel = conv.weight.shape[2]
    offsets, count = np.zeros((height, kernel, 2), np.int64), np.zeros(height, np.int64)
    for y in range(height):
        for tap in range(kernel):
            target, beside = divmod(y + conv.padding[0] - tap * conv.dilation[0], conv.stride[0])
            if beside == 0 and rows[0] <= target < rows[1]:
                offsets[y, count[y]] = tap, target - rows[0]
                count[y] += 1
    return offsets, count


def _matrix(dense: Dense, source: Shape3) -> Fan:
    channels, height, width = source
    run = _whole(len(dense.weight))
    by_place = dense.weight.T.reshape(channels, height, width, 1, -1).transpose(1, 2, 0, 3, 4)
    places = np.arange(width * channels)
    rows = np.zeros((height, 1, 2), np.int64)
    rows[:, 0, 0] = np.arange(height) * places.size * run
    return Fan(
        np.ascontiguousarray(_filled(by_place, run)).reshape(-1), places * run, np.zeros_like(places),
        rows, np.ones(height, np.int64), run,
    )  # fmt: skip


def _list(synapse: Sparse, source: Shape3) -> tuple[IntArray, IntArray, IntArray]:
    """Synapses by place: where each place's begin [rows x row + 1], their targets and weights."""
    place = places_of(synapse, source)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(source[1] * padded(source) + 1))
    return starts, synapse.rows[order].astype(np.int64), synapse.weight[order]


def places_of(synapse: Sparse, source: Shape3) -> IntArray:
    """Where the value that each synapse takes lies among the rows of a step, int64 [synapses]."""
    channel, y, x = np.unravel_index(synapse.columns.astype(np.int64), source)
    return np.asarray(y * padded(source) + x * source[0] + channel)


def _filled(weights: IntArray, run: int) -> IntArray:
    """Zeros after the last axis, up to `run` values."""
    fill: Sequence[tuple[int, int]] = [(0, 0)] * (weights.ndim - 1) + [(0, run - weights.shape[-1])]
    return np.pad(weights, fill)


def _whole(values: int) -> int:
    return -(-values // WIDTH) * WIDTH
