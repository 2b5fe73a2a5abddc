"""One connection made ready to run: event by event, by a table of combinations of spikes, or all at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from hwsim.engine.crossover import Way, Work
from hwsim.engine.events import Add, Lattice, Rows, event_op, rows_of, vectors_of
from hwsim.engine.kernels import COMBINED, Block, Table, add_sums, look_up
from hwsim.engine.lanes import WIDTH
from hwsim.engine.synapse import SynapseOp, exact_arithmetic
from hwsim.engine.table import table_of, tabulates, with_rows
from hwsim.mapping.geometry import shape3
from snn_export.network import Connection, Conv2d, IntArray, Weighted, weighted


class Values(NamedTuple):
    """What a port or population gave in some steps.

    Attributes:
        rows: the values, [G, steps, rows, row].
        events: how many of them are not 0.
    """

    rows: IntArray
    events: int


class ConnectionOp:
    """A connection made ready to run many times. All ways of doing it give the same bits.

    Args:
        connection: the synapses.
        source: shape of where its values come from.
        spiking: that is a population of neurons, or a port of spikes.
        target: the layer's sums.
        wide: the sums have 32 bits.
    """

    def __init__(
        self, connection: Connection, source: tuple[int, ...], spiking: bool, target: Lattice, wide: bool
    ) -> None:
        synapse = weighted(connection.synapse, source)
        self._synapse, self._source, self._target = synapse, source, target
        self._dense = SynapseOp(connection, source, torch.device("cpu"))
        self._conv = synapse if spiking and tabulates(synapse) else None
        self._one = _work(synapse, self._conv, source, target, wide)
        self._table: Table | None = None
        self._ops: dict[tuple[Way, Rows], Add] = {}

    def ready(self, values: Values, rows: Sequence[Rows]) -> list[Callable[[int, Block], None]]:
        """Choose how to do it for these values.

        Returns:
            For each span of the layer's rows, what adds the values of a GOP, by its number, to a block.
        """
        way = self._choose(values)
        if way is Way.DENSE:
            sums = self._whole(values.rows)
            return [lambda gop, block: add_sums(sums[gop], block)] * len(rows)
        ops = [self._op(way, span) for span in rows]
        return [lambda gop, block, op=op: op(values.rows[gop], block) for op in ops]  # type: ignore[misc]

    def _choose(self, values: Values) -> Way:
        steps, one = math.prod(values.rows.shape[:2]), self._one
        runs = None if one.runs is None else steps * one.runs
        return replace(one, events=values.events, runs=runs, macs=steps * one.macs, sums=steps * one.sums).cheapest()

    def _op(self, way: Way, rows: Rows) -> Add:
        if (way, rows) not in self._ops:
            self._ops[way, rows] = self._make(way, rows)
        return self._ops[way, rows]

    def _make(self, way: Way, rows: Rows) -> Add:
        conv, source, target = self._conv, self._source, self._target
        if way is Way.EVENTS or conv is None:
            return event_op(self._synapse, source, target, rows)
        self._table = self._table or table_of(conv, source, target)
        return partial(look_up(self._one.lookups), with_rows(self._table, conv, shape3(source)[1], target, rows))

    @exact_arithmetic()
    def _whole(self, values: IntArray) -> IntArray:
        """The sums, float32 [G, steps, rows, values]."""
        gops, steps = values.shape[:2]
        channels, height, width = shape3(self._source)
        floats = torch.from_numpy(np.ascontiguousarray(values[..., : width * channels], np.float32))
        last = floats.reshape(-1, height, width, channels).permute(0, 3, 1, 2)  # channels-last memory
        found: IntArray = self._dense(last).permute(0, 2, 3, 1).contiguous().numpy()
        return found.reshape(gops, steps, self._target.shape[1], -1)


def _work(synapse: Weighted, tabulated: Conv2d | None, source: tuple[int, ...], target: Lattice, wide: bool) -> Work:
    """The work of one step without events."""
    sums, vectors = math.prod(target.shape), vectors_of(synapse, source, target)
    macs = synapse.weight[0].size * sums if isinstance(synapse, Conv2d) else synapse.weight.size
    runs, lookups = None, 0
    if tabulated:
        channels, height, width = shape3(source)
        rows = int(rows_of(tabulated, height, (0, target.shape[1]))[1].sum())
        runs, lookups = rows * width * target.shape[0] / WIDTH, channels // COMBINED
    return Work(0, vectors, runs, lookups, macs, sums, wide)
