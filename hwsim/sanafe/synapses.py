"""The synapses of a connection, one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.mapping.fanout import kind_of
from hwsim.mapping.geometry import channel_reach, shape3, taps
from snn_export.network import Conv2d, Dense, IntArray, Synapse, weighted


@dataclass(frozen=True, slots=True, eq=False)
class Synapses:
    """Synapses whose weight is not zero; neurons are numbered in C order.

    Attributes:
        source: the neuron or input value that each comes from, int64 [S].
        target: the neuron that each goes to, int64 [S].
        weight: int64 [S].
        kind: the kind of the connection that they are of, as numbered in `hwsim.costs.KINDS`.
    """

    source: IntArray
    target: IntArray
    weight: IntArray
    kind: int


def synapses(synapse: Synapse, source: tuple[int, ...], target: tuple[int, ...]) -> Synapses:
    """Every nonzero synapse between populations of two shapes; taps that fall on padding are none."""
    plain = weighted(synapse, source)
    if isinstance(plain, Conv2d):
        return _convolution(plain, source, target)
    if isinstance(plain, Dense):
        rows, columns = np.nonzero(plain.weight)
        return Synapses(columns, rows, plain.weight[rows, columns].astype(np.int64), kind_of(plain))
    there = np.flatnonzero(plain.weight)
    rows, columns = plain.rows[there].astype(np.int64), plain.columns[there].astype(np.int64)
    return Synapses(columns, rows, plain.weight[there].astype(np.int64), kind_of(plain))


def _convolution(conv: Conv2d, source: tuple[int, ...], target: tuple[int, ...]) -> Synapses:
    sizes, places = shape3(source), shape3(target)
    weight = np.tile(conv.weight.astype(np.int64), (1, conv.groups, 1, 1)) * channel_reach(conv)[:, :, None, None]
    rows, columns = (taps(conv, axis, places[1 + axis], sizes[1 + axis]) for axis in (0, 1))
    parts = []
    for y, x in np.ndindex(*weight.shape[2:]):
        to, by = np.nonzero(weight[:, :, y, x])
        (to_row, row), (to_column, column) = np.nonzero(rows[y]), np.nonzero(columns[x])
        found = (_outer(by, row, column, sizes), _outer(to, to_row, to_column, places))
        parts.append((*found, np.repeat(weight[to, by, y, x], row.size * column.size)))
    by, to, values = (np.concatenate(x) for x in zip(*parts, strict=True))
    return Synapses(by, to, values, kind_of(conv))


def _outer(channels: IntArray, rows: IntArray, columns: IntArray, shape: tuple[int, int, int]) -> IntArray:
    """Numbers of all combinations of a channel, a row and a column, channels outermost."""
    place = rows[:, None] * shape[2] + columns
    return np.asarray((channels[:, None] * (shape[1] * shape[2]) + place.reshape(-1)).reshape(-1))
