"""Convolutions of spikes as a table: the sums of weights for every combination of spikes of neighbouring channels."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np

from hwsim.engine.events import Lattice, columns_of, padded, phases, rows_of
from hwsim.engine.kernels import COMBINED, TAPS, Table
from hwsim.engine.lanes import WIDTH
from hwsim.mapping.geometry import shape3
from snn_export.network import Conv2d, Synapse

_LARGEST = 2**21
"""Most sums of a table: 4 MB, which a shared cache holds."""


def tabulates(synapse: Synapse) -> TypeGuard[Conv2d]:
    """Whether a connection from a spiking population can be a table: a usual convolution, three columns wide."""
    if not isinstance(synapse, Conv2d):
        return False
    out, channels, rows, columns = synapse.weight.shape
    usual = (columns, synapse.stride[1], synapse.dilation[1], synapse.groups) == (TAPS, 1, 1, 1)
    whole = channels % COMBINED == 0 and out % WIDTH == 0
    small = channels // COMBINED * 2**COMBINED * rows * TAPS * out <= _LARGEST
    # what one kernel row adds up to in registers of 16 bits
    return usual and whole and small and int(np.abs(synapse.weight.astype(np.int64)).sum((1, 3)).max()) < 2**15


def table_of(conv: Conv2d, source: tuple[int, ...], target: Lattice) -> Table:
    """The table of a convolution that `tabulates`; its rows are yet to be set (`with_rows`).

    Args:
        conv: the synapses.
        source: shape of where the spikes come from.
        target: the layer's sums.
    """
    shape = shape3(source)
    channels, _, width = shape
    out, _, rows, _ = conv.weight.shape
    groups, size = channels // COMBINED, rows * TAPS * out
    weights = phases(conv, TAPS).reshape(groups, COMBINED, size).astype(np.float32)
    spikes = (np.arange(2**COMBINED)[:, None] >> np.arange(COMBINED)) & 1
    sums = (spikes.astype(np.float32) @ weights).astype(np.int16)  # whole numbers of at most 2^10: exact
    first = np.zeros(padded(shape) // COMBINED, np.int64)
    first[: width * groups] = np.tile(np.arange(groups) * (2**COMBINED * size), width)
    begin = (int(columns_of(conv, width)[0][0]) + target.columns) * out
    nowhere = np.zeros((0, 1, 2), np.int64), np.zeros(0, np.int64)
    return Table(sums.reshape(-1), first, *nowhere, width, size, out, begin)


def with_rows(table: Table, conv: Conv2d, height: int, target: Lattice, rows: tuple[int, int]) -> Table:
    """The table for the spikes of a source of this height that reach some rows of the layer."""
    offsets, count = rows_of(conv, height, rows)
    return table._replace(rows=offsets * [TAPS * table.out, target.stride], row_count=count)
