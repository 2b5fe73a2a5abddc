"""Which values a neuron sees, one bit each: tells whether any of them reached a neuron whose sum is 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from hwsim.engine.events import padded, places_of
from hwsim.engine.kernels import Tally
from hwsim.engine.lanes import SCANNED
from hwsim.engine.tallies import Field, settle, settle_list
from hwsim.mapping.geometry import Shape3, shape3
from snn_export.network import Connection, Conv2d, Dense, IntArray, Sparse, weighted

Settle = Callable[[IntArray, IntArray, int, Tally], None]
"""Counts neurons that an event of these values, [steps, rows, row], reached; see `tallies.settle`."""


def field_of(connection: Connection, source: tuple[int, ...], target: tuple[int, ...]) -> Settle:
    """What tells which neurons of a layer an event reaches over a weight that is not 0.

    Args:
        connection: the synapses.
        source: shape of where the events come from.
        target: shape of the layer.
    """
    synapse, shape = weighted(connection.synapse, source), shape3(source)
    if isinstance(synapse, Sparse):
        return partial(settle_list, *_list(synapse, shape))
    if isinstance(synapse, Dense):
        synapse = Conv2d(synapse.weight.reshape(-1, *shape))  # a kernel as large as the source
    return partial(settle, _windows(synapse, shape, shape3(target)))


def _windows(conv: Conv2d, source: Shape3, target: Shape3) -> Field:
    channels, height, _ = source
    out, per_group, kernel_rows, kernel_columns = conv.weight.shape
    length = ((kernel_columns - 1) * conv.dilation[1] + 1) * channels
    words = -(-length // SCANNED)
    window = np.zeros((out, kernel_rows, words * SCANNED), bool)
    of_group = (np.arange(out) // (out // conv.groups) * per_group)[:, None] + np.arange(per_group)
    for column in range(kernel_columns):
        at = column * conv.dilation[1] * channels + of_group
        window[np.arange(out)[:, None], :, at] = conv.weight[..., column] != 0
    before, step = conv.padding[1] * channels, conv.stride[1] * channels
    lead = -(-before // SCANNED)
    begin = lead * SCANNED - before
    last = (begin + (target[2] - 1) * step) // SCANNED + words
    row = np.arange(target[1])[:, None] * conv.stride[0] - conv.padding[0] + np.arange(kernel_rows) * conv.dilation[0]
    return Field(
        masks=_bits(window), span=_bits(np.arange(words * SCANNED) < length),
        rows=np.where((row >= 0) & (row < height), row, -1), lead=lead, begin=begin, step=step,
        width=max(last + 1, lead + padded(source) // SCANNED), values=out * target[2],
    )  # fmt: skip


def _bits(there: IntArray) -> IntArray:
    """Bool [..., n] as uint64 [..., n / 64], the first one lowest."""
    return np.packbits(there, axis=-1, bitorder="little").view("<u8").astype(np.uint64)


def _list(synapse: Sparse, source: Shape3) -> tuple[IntArray, IntArray]:
    """Synapses by target: where each one's begin [targets + 1], and their places."""
    weighed = np.flatnonzero(synapse.weight)
    order = weighed[np.argsort(synapse.rows[weighed], kind="stable")]
    starts = np.searchsorted(synapse.rows[order], np.arange(synapse.size[0] + 1))
    return starts.astype(np.int64), places_of(synapse, source)[order]
