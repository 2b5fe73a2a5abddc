"""Share cores out to chips so that the fewest packets go between chips, each for one destination core.

Chips are filled from several starts (in the order of layers, full or evenly; and grown around the cores with the
most traffic to what is there already), each improved by moves and swaps that lower the packets between chips, best
first for each core; the best result counts. Then the chips are lined up so that those that talk most are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from hwsim.mapping.layout import Layout
from hwsim.mapping.objective import Pace
from hwsim.mapping.refine import refine
from snn_export.network import IntArray

_SWEEPS = 30
"""Bound on the passes over all cores."""


def assign_chips(traffic: sparse.csr_matrix, chips: int, capacity: int) -> IntArray:
    """The chip of each core, int64 [cores].

    Args:
        traffic: packets between cores, sparse int64 [senders, receivers].
        chips: chips to use; enough for all cores.
        capacity: most cores of one chip.
    """
    if chips == 1:
        return np.zeros(traffic.shape[0], np.int64)
    pairs = sparse.csr_matrix(traffic + traffic.T)
    pairs.setdiag(0)
    tried = [_improved(pairs, start, chips, capacity) for start in _starts(pairs, chips, capacity)]
    return _in_line(traffic, min(tried, key=lambda chip: crossing(traffic, chip)), chips)


def crossing(traffic: sparse.csr_matrix, chip: IntArray) -> int:
    """Packets between cores of different chips."""
    flows = traffic.tocoo()
    return int(flows.data[chip[flows.row] != chip[flows.col]].sum())


def _starts(pairs: sparse.csr_matrix, chips: int, capacity: int) -> Iterator[IntArray]:
    count = pairs.shape[0]
    yield np.arange(count) // capacity
    sizes = [(i + 1) * count // chips - i * count // chips for i in range(chips)]
    yield np.repeat(np.arange(chips), sizes)
    chip, free = np.full(count, -1), np.ones(count, bool)
    for number, size in enumerate(sizes):
        pull = np.zeros(count, np.int64)
        for _ in range(size):
            core = int(np.where(free, pull, -1).argmax())
            chip[core], free[core] = number, False
            row = slice(pairs.indptr[core], pairs.indptr[core + 1])
            pull[pairs.indices[row]] += pairs.data[row]
    yield chip


def _improved(pairs: sparse.csr_matrix, start: IntArray, chips: int, capacity: int) -> IntArray:
    """Moves and swaps of one core after the other, each the best for that core, while packets are saved."""
    chip, count = start.copy(), len(start)
    number, sizes = np.arange(count), np.bincount(start, minlength=chips)
    pull = pairs @ (chip[:, None] == np.arange(chips)).astype(np.int64)  # packets of each core with each chip
    for _ in range(_SWEEPS):
        before = chip.copy()
        for core in range(count):
            own = chip[core]
            gain = pull[core] - pull[core, own]
            if gain.max() <= 0:
                continue  # a swap that saves packets has a core that would save some by itself
            move = int(np.where(sizes < capacity, gain, 0).argmax())
            row = slice(pairs.indptr[core], pairs.indptr[core + 1])
            both = gain[chip] + pull[:, own] - pull[number, chip]
            both[pairs.indices[row]] -= 2 * pairs.data[row]
            both[chip == own] = 0
            other = int(both.argmax())
            if max(both[other], gain[move]) <= 0:
                continue
            changes = [(core, move)] if gain[move] >= both[other] and sizes[move] < capacity else []
            for moved, to in changes or [(core, chip[other]), (other, own)]:
                row = slice(pairs.indptr[moved], pairs.indptr[moved + 1])
                pull[pairs.indices[row], chip[moved]] -= pairs.data[row]
                pull[pairs.indices[row], to] += pairs.data[row]
                sizes[chip[moved]] -= 1
                sizes[to] += 1
                chip[moved] = to
        if np.array_equal(chip, before):
            break
    return chip


def _in_line(traffic: sparse.csr_matrix, chip: IntArray, chips: int) -> IntArray:
    """The same sets of cores, numbered so that packets cross few chips."""
    member = sparse.csr_matrix((np.ones(len(chip), np.int64), (chip, np.arange(len(chip)))), (chips, len(chip)))
    between = sparse.csr_matrix(member @ traffic @ member.T)
    line = Layout(between, np.arange(chips), np.zeros(chips, np.int64), Pace(0, 0, 0, "packets"))
    refine(line, np.zeros(chips, np.int64))
    return np.asarray(line.x[chip])
