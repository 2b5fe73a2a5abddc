"""Cores on a mesh while they are being moved: hops and link loads, kept up to date swap by swap.

Distances of XY routing are sums of a part in x and one in y. So what a core costs at any tile is the sum of a
row of `_cost_x` and one of `_cost_y`, and no matrix of all pairs is needed. What a packet adds to the links of
its path are two straight runs; a run is kept by its ends (plus one at the first link, minus one past the last),
and running sums give the loads.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from hwsim.mapping.objective import Objective, Pace
from snn_export.network import IntArray

_BATCH = 2**21
"""Numbers held at once while swaps are tried."""
_Places = tuple[IntArray, IntArray, IntArray, IntArray]
"""Column and row of the sender, column and row of the receiver."""


class Layout:
    """Positions of cores, what they cost, and what a swap would change.

    Args:
        traffic: packets between cores, sparse int64 [senders, receivers].
        x: global column of each core's tile.
        y: row of each core's tile.
        pace: how long packets hold links.

    Attributes:
        x: global column of each core at present.
        y: row of each core at present.
        ends: sender and receiver of every flow between different cores [2, flows].
        packets: of every flow [flows].
        pairs: packets between two cores in either direction, symmetric, sparse int64 [cores, cores].
    """

    def __init__(self, traffic: sparse.csr_matrix, x: IntArray, y: IntArray, pace: Pace) -> None:
        self.x, self.y, self.pace = x.astype(np.int64), y.astype(np.int64), pace
        flows = traffic.tocoo()
        apart = flows.row != flows.col
        self.ends = np.stack([flows.row[apart], flows.col[apart]]).astype(np.int64)
        self.packets = flows.data[apart].astype(np.int64)
        self._shape = (4, int(self.y.max()) + 2, int(self.x.max()) + 2)
        both = np.concatenate([self.ends[0], self.ends[1]])
        self._touching = np.argsort(both, kind="stable") % max(1, self.packets.size)
        self._first = np.concatenate([[0], np.cumsum(np.bincount(both, minlength=len(x)))])
        self.pairs = (traffic + traffic.T).tocsr()
        self.pairs.setdiag(0)
        self.pairs.eliminate_zeros()
        width, height = np.arange(self._shape[2] - 1), np.arange(self._shape[1] - 1)
        self._cost_x = self.pairs @ np.abs(self.x[:, None] - width)
        self._cost_y = self.pairs @ np.abs(self.y[:, None] - height)
        self._axes = width, height
        every = np.arange(self.packets.size)
        self._runs = np.asarray(self._run_ends(np.zeros_like(every), every, self._places(every), 1)[0])

    @property
    def loads(self) -> IntArray:
        """Packets over each link."""
        return np.asarray(_loads(self._runs[None])[0])

    @property
    def hops(self) -> int:
        """Tiles crossed by all packets."""
        return int(self._here().sum()) // 2

    @property
    def slowest(self) -> int:
        """Time of the slowest core or link."""
        return int(self._slowest(self._runs[None])[0])

    @property
    def objective(self) -> Objective:
        """What is to be lowered."""
        return Objective(self.slowest, self.hops)

    def gains(self, core: int) -> IntArray:
        """Hops saved by swapping a core with each core [cores]."""
        x, y, here = self.x[core], self.y[core], self._here()
        there = self._cost_x[core, self.x] + self._cost_y[core, self.y]
        gain = here[core] + here - there - self._cost_x[:, x] - self._cost_y[:, y]
        near = self._partners(core)
        shared = self.pairs.data[self.pairs.indptr[core] : self.pairs.indptr[core + 1]]
        gain[near] -= 2 * shared * (np.abs(self.x[near] - x) + np.abs(self.y[near] - y))
        return np.asarray(gain)

    def slowest_after(self, core: int, others: IntArray) -> IntArray:
        """The slowest core or link after swapping a core with each of `others` [others]."""
        size = int(np.prod(self._shape))
        step = max(1, _BATCH // size)
        found = [self._try(core, others[i : i + step]) for i in range(0, len(others), step)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def swap(self, core: int, other: int) -> None:
        """Let two cores change places."""
        self._runs = self._changed(core, np.array([other]))[0]
        for a, b in ((core, other), (other, core)):
            near = self._partners(a)
            shared = self.pairs.data[self.pairs.indptr[a] : self.pairs.indptr[a + 1], None]
            for costs, at, axis in ((self._cost_x, self.x, self._axes[0]), (self._cost_y, self.y, self._axes[1])):
                costs[near] += shared * (np.abs(at[b] - axis) - np.abs(at[a] - axis))
        for at in (self.x, self.y):
            at[[core, other]] = at[[other, core]]

    def busiest(self) -> IntArray:
        """Cores with packets over the slowest link, those with the most packets over it first."""
        times = self._times(self.loads[None])[0]
        direction, row, column = np.unravel_index(int(times.argmax()), times.shape)
        every = np.arange(self.packets.size)
        x, y, to_x, to_y = self._places(every)
        if direction < 2:
            over = (y == row) & (np.minimum(x, to_x) <= column - (direction == 1))
            over &= (np.maximum(x, to_x) > column - (direction == 1)) & ((to_x > x) == (direction == 0))
        else:
            over = (to_x == column) & (np.minimum(y, to_y) <= row - (direction == 3))
            over &= (np.maximum(y, to_y) > row - (direction == 3)) & ((to_y > y) == (direction == 2))
        weight = np.zeros(len(self.x), np.int64)
        for end in self.ends:
            np.add.at(weight, end[over], self.packets[over])
        order = np.argsort(-weight, kind="stable")
        return np.asarray(order[weight[order] > 0])

    def _here(self) -> IntArray:
        """What each core costs where it is [cores]; every pair is counted twice."""
        number = np.arange(len(self.x))
        return np.asarray(self._cost_x[number, self.x] + self._cost_y[number, self.y])

    def _partners(self, core: int) -> IntArray:
        return np.asarray(self.pairs.indices[self.pairs.indptr[core] : self.pairs.indptr[core + 1]])

    def _places(self, flows: IntArray) -> _Places:
        source, target = self.ends[:, flows]
        return self.x[source], self.y[source], self.x[target], self.y[target]

    def _try(self, core: int, others: IntArray) -> IntArray:
        return self._slowest(self._changed(core, others))

    def _changed(self, core: int, others: IntArray) -> IntArray:
        """The ends of all runs after each swap [others, 4, rows + 1, columns + 1]."""
        own = self._touching[self._first[core] : self._first[core + 1]]
        counts = self._first[others + 1] - self._first[others]
        trial = np.repeat(np.arange(len(others)), counts)
        offset = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        theirs = self._touching[self._first[others][trial] + offset]
        fresh = ~(self.ends[:, theirs] == core).any(0)  # flows between the two are among `own` already
        flows = np.concatenate([np.tile(own, len(others)), theirs[fresh]])
        trial = np.concatenate([np.repeat(np.arange(len(others)), own.size), trial[fresh]])
        other, ends = others[trial], self.ends[:, flows]
        a, b = np.where(ends == core, other, np.where(ends == other, core, ends))
        new = self._run_ends(trial, flows, (self.x[a], self.y[a], self.x[b], self.y[b]), len(others))
        return np.asarray(self._runs + new - self._run_ends(trial, flows, self._places(flows), len(others)))

    def _run_ends(self, trial: IntArray, flows: IntArray, places: _Places, trials: int) -> IntArray:
        """Where runs of packets begin (+) and end (-), int64 [trials, 4, rows + 1, columns + 1]."""
        (x, y, to_x, to_y), (_, rows, columns) = places, self._shape
        packets, size = self.packets[flows], int(np.prod(self._shape))
        west, north = to_x < x, to_y < y
        along = (trial * 4 + west) * rows + y
        across = (trial * 4 + 2 + north) * rows
        begin = along * columns + np.where(west, to_x + 1, x)
        end = along * columns + np.where(west, x + 1, to_x)
        fall = (across + np.where(north, to_y + 1, y)) * columns + to_x
        stop = (across + np.where(north, y + 1, to_y)) * columns + to_x
        keys = np.concatenate([begin, end, fall, stop])
        weights = np.concatenate([packets, -packets, packets, -packets])
        found = np.bincount(keys, weights, trials * size).astype(np.int64)
        return np.asarray(found.reshape(trials, *self._shape))

    def _slowest(self, runs: IntArray) -> IntArray:
        return np.asarray(np.maximum(self._times(_loads(runs)).max((1, 2, 3)), self.pace.floor))

    def _times(self, loads: IntArray) -> IntArray:
        pace = np.array([self.pace.ew, self.pace.ew, self.pace.ns, self.pace.ns])
        return np.asarray(loads * pace[:, None, None])


def _loads(runs: IntArray) -> IntArray:
    """Packets over each link from the ends of runs [trials, 4, rows + 1, columns + 1]."""
    return np.concatenate([runs[:, :2].cumsum(3), runs[:, 2:].cumsum(2)], 1)
