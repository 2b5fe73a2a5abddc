"""One layer on a CPU: its sums, its neurons and its counts over some steps, in shares that threads take."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch

from hwsim.engine.classes import Classes, classes_of, uncounted
from hwsim.engine.crossover import prefers_dense
from hwsim.engine.events import EventOp, event_op, lattice, padded
from hwsim.engine.kernels import KEEP, SOFT, ZERO, Block, State, Tally, add_sums, current_neurons, neurons
from hwsim.engine.synapse import SynapseOp
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


class Did(NamedTuple):
    """What was counted of a layer in some steps of a batch of GOPs.

    Attributes:
        fired: spikes by atom, int32 [G, steps, atoms]; all 0 unless counted.
        active: active neurons by atom in the same form.
        clipped: potentials that were clipped.
        wrapped: currents that left 24 bits.
    """

    fired: IntArray
    active: IntArray
    clipped: int
    wrapped: int


@dataclass(frozen=True, slots=True, eq=False)
class _Share:
    """Some rows of a layer, which one thread takes.

    Attributes:
        first: first row.
        last: one past the last.
        ops: the events of each connection that reach these rows.
        classes: for counting; None where nobody counts.
        free: sums that no thread uses at the moment.
    """

    first: int
    last: int
    ops: tuple[EventOp, ...]
    classes: Classes | None
    free: list[Block] = field(default_factory=list)


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
        self._shapes = {c.source: network.shapes[c.source] for c in layer.connections}
        # sums wrap on the way, so that only the last one has to fit
        peak = max(map(abs, accumulator_interval(layer, source_intervals(network))))
        self._kind = np.int16 if peak < 2**15 else np.int32
        self._constants = _constants(layer, self.shape)
        self._dense = [SynapseOp(c, network.shapes[c.source], torch.device("cpu")) for c in layer.connections]
        self._shares: dict[int, list[_Share]] = {}

    def zero_state(self, gops: int) -> tuple[IntArray, IntArray]:
        """Potentials int32 and currents int64, [G, rows, row]; no currents where none are remembered."""
        shape = (gops, self.shape[1], padded(self.shape))
        return np.zeros(shape, np.int32), np.zeros(shape if self.layer.neuron.ukeep else (gops, 0, 0), np.int64)

    def advance(
        self, maps: Mapping[str, IntArray], state: tuple[IntArray, IntArray], trace: IntArray, start: int, each: Each
    ) -> Did:
        """Go through some steps, from step `start` on.

        Args:
            maps: values of ports and layers, [G, steps, rows, row]; this layer's own, uint8, are written.
            state: what `zero_state` gave, as the steps before left it.
            trace: for the potentials after every step, int32 in the same form; of size 0 where nobody asks.
            start: number of the first step.
            each: runs the shares.
        """
        gops, steps = maps[self.layer.connections[0].source].shape[:2]
        shares = self._in_shares(gops, steps)
        whole = self._whole(maps, shares[0].ops)
        clears = np.array([self.layer.neuron.clears_before(start + t) for t in range(steps)], np.uint8)
        atoms = self._fan.owner.size if self._fan else 0
        did = [np.zeros((gops, steps, atoms), np.int32) for _ in range(2)]

        def work(item: tuple[int, _Share]) -> tuple[int, IntArray | None, IntArray | None, int, int]:
            g, share = item
            block = self._block(share, steps)
            for connection, op, sums in zip(self.layer.connections, share.ops, whole, strict=True):
                if sums is None:
                    op.add(maps[connection.source][g], block)
                else:
                    add_sums(sums[g], block)
            tally = self._tally(share, steps)
            own = State(state[0][g], state[1][g], maps[self.layer.name][g], trace[g], clears)
            clipped, wrapped = self._neurons(block, own, tally)
            share.free.append(block)
            counted = [share.classes.atoms(x) if share.classes and x.size else None for x in tally[:2]]
            return g, counted[0], counted[1], clipped, wrapped

        clipped = wrapped = 0
        items = list(product(range(gops), shares))
        for g, fired, active, saturated, overrun in each(work, items):
            for total, part in zip(did, (fired, active), strict=True):
                if part is not None:
                    total[g] += part
            clipped, wrapped = clipped + saturated, wrapped + overrun
        return Did(did[0], did[1], clipped, wrapped)

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
        connections, rows = self.layer.connections, (first, last)
        ops = tuple(event_op(c, self._shapes[c.source], self._lattice, rows) for c in connections)
        return _Share(first, last, ops, classes_of(self._fan, self.shape, first, last) if self._fan else None)

    def _block(self, share: _Share, steps: int) -> Block:
        """Zero sums for some steps: used ones, unless other threads have them or they are too small."""
        rows = share.first, share.last
        try:
            block = share.free.pop()
        except IndexError:
            block = None
        if block is None or block.sums.size < self._lattice.size(rows, steps):
            return self._lattice.block(rows, steps, self._kind, self.counts_active)
        return block

    def _whole(self, maps: Mapping[str, IntArray], ops: Sequence[EventOp]) -> list[IntArray | None]:
        """Sums of the connections that are better computed at once, float32 [G, steps, rows, values], else None."""
        found: list[IntArray | None] = []
        for connection, op, dense in zip(self.layer.connections, ops, self._dense, strict=True):
            values = maps[connection.source]
            gops, steps = values.shape[:2]
            count, sums = gops * steps, math.prod(self.shape)
            events = 0 if self.counts_active else np.count_nonzero(values)
            if prefers_dense(events, op.vectors, self._kind is np.int32, op.macs * count, sums * count):
                channels = _channels(values, shape3(self._shapes[connection.source]))
                whole = dense(channels).permute(0, 2, 3, 1).contiguous().numpy()
                found.append(whole.reshape(gops, steps, self.shape[1], -1))
            else:
                found.append(None)
        return found

    def _neurons(self, block: Block, state: State, tally: Tally) -> tuple[int, int]:
        """Lines 2 to 5; how many potentials were clipped and currents left 24 bits."""
        neuron = self.layer.neuron
        reset = _RESETS[neuron.reset]
        if neuron.ukeep:
            return current_neurons(block, state, self._constants, int(neuron.ukeep), reset, tally)  # type: ignore[no-any-return]
        return int(neurons(block, state, self._constants, reset, tally)), 0

    def _tally(self, share: _Share, steps: int) -> Tally:
        if share.classes is None:
            return uncounted(self.shape[1])
        fired = share.classes.zeros(0 if self.layer.neuron.readout else steps)
        return Tally(fired, share.classes.zeros(steps if self.counts_active else 0), share.classes.row_class)


def _constants(layer: Layer, shape: Shape3) -> IntArray:
    """Int32 [4, row] as `kernels.neurons` wants them; read-outs and padding never fire."""
    channels, _, columns = shape
    neuron, values = layer.neuron, channels * columns
    never = np.iinfo(np.int32).max
    threshold = np.array([never]) if neuron.readout else neuron.vth.astype(np.int64) << STATE_SHIFT
    found = np.zeros((4, padded(shape)), np.int32)
    found[1] = never
    for row, constant in zip(found, (neuron.keep, threshold, neuron.bias, np.array([-1])), strict=True):
        row[:values] = np.tile(np.broadcast_to(constant, channels), columns)
    return found


def _channels(values: IntArray, shape: Shape3) -> torch.Tensor:
    """Values [G, steps, rows, row] as float32 [G x steps, C, H, W] in channels-last memory."""
    channels, height, width = shape
    floats = torch.from_numpy(np.ascontiguousarray(values[..., : width * channels], np.float32))
    return floats.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
