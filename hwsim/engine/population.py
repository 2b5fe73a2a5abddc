"""One layer on a CPU: its sums, its neurons and its counts over some steps, in shares that threads take."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise, product
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch

from hwsim.engine.classes import Classes, classes_of, uncounted
from hwsim.engine.connection import ConnectionOp, Values
from hwsim.engine.events import lattice, padded
from hwsim.engine.field import field_of
from hwsim.engine.kernels import KEEP, NEURONS, SOFT, ZERO, Block, State, Tally, current_neurons
from hwsim.engine.lanes import SCANNED
from hwsim.engine.neuron import bounded
from hwsim.engine.threads import Each
from hwsim.mapping.fanout import Fanout
from hwsim.mapping.geometry import Shape3, shape3
from snn_export.network import (
    STATE_SHIFT,
    IntArray,
    Layer,
    Reset,
    SpikingNetwork,
    accumulator_interval,
    source_intervals,
)

_SHARE_VALUES = 2**20
"""Most values of a share over the steps that are run at once: their sums stay near a core, in its cache of 2 MB."""
_RESETS = {Reset.NONE: KEEP, Reset.ZERO: ZERO, Reset.SOFT: SOFT}


class Totals(NamedTuple):
    """Where a layer's counts of some steps of a batch of GOPs are added, [G, steps, atoms] each.

    Attributes:
        fired: spikes by atom; None where nobody counts.
        active: active neurons by atom; None where nobody asks.
    """

    fired: IntArray | None
    active: IntArray | None


class Done(NamedTuple):
    """How many potentials were clipped, how many neurons fired, and how many currents left 24 bits."""

    clipped: int
    fired: int
    wrapped: int


class _Space(NamedTuple):
    """What a thread works in: sums and counts, all 0 between two uses, and which neurons are not known to be active."""

    sums: Block
    tally: Tally
    quiet: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """Some rows of a layer, which one thread takes.

    Attributes:
        first: first row.
        last: one past the last.
        classes: for counting; None where nobody counts.
        free: spaces that no thread uses at the moment.
    """

    first: int
    last: int
    classes: Classes | None
    free: list[_Space] = field(default_factory=list)


class Population:
    """A layer made ready to run many times.

    Args:
        network: the graph that it is part of.
        layer: the layer.
        fan: given, its firing neurons are counted by the atoms of this fan-out.
        counts_active: count active neurons as well.
    """

    def __init__(self, network: SpikingNetwork, layer: Layer, fan: Fanout | None, counts_active: bool) -> None:
        self.layer, self.shape, self.counts_active = layer, shape3(layer.shape), counts_active
        self._lattice, self._fan = lattice(layer, network.shapes), fan
        intervals = source_intervals(network)
        # sums wrap on the way, so that only the last one has to fit
        peak = max(map(abs, accumulator_interval(layer, intervals)))
        wide, self._bounded = peak >= 2**15, bounded(layer, peak)
        self._kind = np.int32 if wide else np.int16
        self._constants = _constants(layer, self.shape)
        graded = {port.name for port in network.inputs if port.graded}

        self._ops = [
            ConnectionOp(c, network.shapes[c.source], c.source not in graded, self._lattice, wide)
            for c in layer.connections
        ]
        self._fields = [
            field_of(c, network.shapes[c.source], layer.shape) for c in (layer.connections if counts_active else ())
        ]
        self._shares: dict[int, list[_Share]] = {}

    def state(self, gops: int) -> tuple[IntArray, IntArray]:
        """For potentials, int32, and currents, int64, [G, rows, row]; no currents where none are remembered.

        Nothing is set: step 0 clears it, row by row, when a thread has it in its cache.
        """
        shape = (gops, self.shape[1], padded(self.shape))
        return np.empty(shape, np.int32), np.empty(shape if self.layer.neuron.ukeep else (gops, 0, 0), np.int64)

    def advance(
        self,
        sources: Mapping[str, Values],
        state: tuple[IntArray, IntArray],
        spikes: IntArray,
        trace: IntArray,
        totals: Totals,
        start: int,
        each: Each,
    ) -> Done:
        """Go through some steps, from step `start` on.

        Args:
            sources: what ports and other layers gave.
            state: what `state` gave, as the steps before left it.
            spikes: where to write them, uint8 [G, steps, rows, row].
            trace: for the potentials after every step, int32 in the same form; of size 0 where nobody asks.
            totals: where to add the counts.
            start: number of the first step.
            each: runs the shares.
        """
        gops, steps = spikes.shape[:2]
        shares = self._in_shares(gops, steps)
        rows = [(share.first, share.last) for share in shares]
        values = [sources[c.source] for c in self.layer.connections]
        adds = [op.ready(x, rows) for op, x in zip(self._ops, values, strict=True)]
        clears = np.array([self.layer.neuron.clears_before(start + t) for t in range(steps)], np.uint8)
        adding = Lock()

        def work(item: tuple[int, int]) -> Done:
            g, i = item
            share = shares[i]
            space = self._space(share, steps)
            for add in adds:
                add[i](g, space.sums)
            found = self._neurons(space, State(state[0][g], state[1][g], spikes[g], trace[g], clears))
            for settle, x in zip(self._fields, values, strict=False):
                settle(x.rows[g], space.quiet, share.first, space.tally)
            with adding:  # shares have classes in common
                for total, counted in zip(totals, space.tally, strict=False):
                    if share.classes and total is not None and counted.size:
                        share.classes.take(counted[:steps], total[g])
            share.free.append(space)
            return found

        done = each(work, product(range(gops), range(len(shares))))
        return Done(sum(x.clipped for x in done), sum(x.fired for x in done), sum(x.wrapped for x in done))

    def _in_shares(self, gops: int, steps: int) -> list[_Share]:
        """Shares of rows whose sums stay in a cache, as many as keep all threads busy."""
        height, threads = self.shape[1], torch.get_num_threads()
        parts = -(-self.layer.size * steps // _SHARE_VALUES)
        if parts > 1:
            parts = -(-parts * gops // threads) * threads // gops
        parts = min(height, max(1, parts))
        if parts not in self._shares:
            edges = [i * height // parts for i in range(parts + 1)]
            self._shares[parts] = [self._share(*rows) for rows in pairwise(edges)]
        return self._shares[parts]

    def _share(self, first: int, last: int) -> _Share:
        return _Share(first, last, classes_of(self._fan, self.shape, first, last) if self._fan else None)

    def _space(self, share: _Share, steps: int) -> _Space:
        """Room for some steps: a used one, unless others have it or it is too small."""
        rows, size = (share.first, share.last), self._lattice.size((share.first, share.last), steps)
        with suppress(IndexError):
            space = share.free.pop()
            if space.sums.sums.size >= size:
                return space
        counted = steps if self.counts_active else 0
        tally = uncounted(self.shape[1])
        if share.classes:
            zeros = share.classes.zeros
            tally = Tally(zeros(0 if self.layer.neuron.readout else steps), zeros(counted), share.classes.row_class)
        quiet = np.zeros((counted, share.last - share.first, padded(self.shape) // SCANNED), np.uint64)
        return _Space(self._lattice.block(rows, steps, self._kind), tally, quiet)

    def _neurons(self, space: _Space, state: State) -> Done:
        """Lines 2 to 5."""
        neuron = self.layer.neuron
        before, reset, after = (space.sums, state, self._constants), _RESETS[neuron.reset], (space.tally, space.quiet)
        if neuron.ukeep:
            return Done(*current_neurons(*before, int(neuron.ukeep), reset, *after))
        clipped, fired = NEURONS[reset, self._bounded](*before, *after)
        return Done(clipped, fired, 0)


def _constants(layer: Layer, shape: Shape3) -> IntArray:
    """Int32 [4, row] as `kernels.NEURONS` want them; read-outs and padding never fire."""
    channels, _, columns = shape
    neuron, values = layer.neuron, channels * columns
    never = np.iinfo(np.int32).max
    threshold = np.array([never]) if neuron.readout else neuron.vth.astype(np.int64) << STATE_SHIFT
    found = np.zeros((4, padded(shape)), np.int32)
    found[1] = never
    for row, constant in zip(found, (neuron.keep, threshold, neuron.bias, np.array([-1])), strict=True):
        row[:values] = np.tile(np.broadcast_to(constant, channels), columns)
    return found
