"""Put cores on chips and tiles: chips with the fewest packets between them, then swaps from several starts.

The starts: the snake in the order of layers, which suits convolutions; on one chip also the relaxation of scipy's
`quadratic_assignment` (FAQ, Vogelstein et al. 2015), which suits networks without such an order; then random ones,
always the same, while these take little work. The best result counts; a lower bound that is reached ends the
search. Only the tiles that the snake covers are used, so that as few as possible are mapped: the barrier of a step
grows with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.optimize import quadratic_assignment

from hwsim.chip import Chip, Mesh
from hwsim.mapping.bounds import lower_bound
from hwsim.mapping.layout import Layout
from hwsim.mapping.model import Mapping
from hwsim.mapping.objective import Pace, pace_of
from hwsim.mapping.refine import refine
from hwsim.mapping.split import assign_chips
from hwsim.mapping.traffic import core_traffic
from snn_export.network import IntArray, SpikingNetwork

_FEW = 256
"""More cores than this start from the snake only: the relaxation takes the cube of their number."""
_RANDOM, _TINY, _MORE = 15, 16, 40
"""Random starts, and how many for at most so many cores; only while all starts take less work than one may."""


def sites(count: int, mesh: Mesh) -> IntArray:
    """The first `count` places of the snake: int [count, 4] of chip, x, y, slot.

    Columns of tiles are walked down and up in turn, so that successive tiles are neighbours.
    """
    index = np.arange(count)
    chip, within = np.divmod(index, mesh.cores)
    tile, slot = np.divmod(within, mesh.cores_per_tile)
    x, down = np.divmod(tile, mesh.tiles_y)
    return np.stack([chip, x, np.where(x % 2, mesh.tiles_y - 1 - down, down), slot], 1)


def place(network: SpikingNetwork, chip: Chip, mapping: Mapping) -> Mapping:
    """The same cores at better places; see `hwsim.mapping.objective` for what is better."""
    traffic, mesh = core_traffic(network, mapping), chip.mesh
    home = assign_chips(traffic, mapping.chips, mesh.cores)
    best = best_layout(traffic, *snake(home, mesh), home, pace_of(network, chip, mapping))
    return moved(mapping, best.x, best.y)


def best_layout(traffic: sparse.csr_matrix, x: IntArray, y: IntArray, home: IntArray, pace: Pace) -> Layout:
    """The best layout found from all starts.

    Args:
        traffic: packets between cores, sparse int64 [senders, receivers].
        x: global column of each core on the snake [cores].
        y: row of each core there [cores].
        home: the chip of each core, which it does not leave [cores].
        pace: how long packets hold links.
    """
    bound = lower_bound(Layout(traffic, x, y, pace), home)
    tried, work = [], 0.0
    for fixed, order in _starts(traffic, x, y, home):
        if not fixed and work >= 1:
            break
        tried.append(Layout(traffic, x[order], y[order], pace))
        work += refine(tried[-1], home)
        if tried[-1].objective == bound:
            break
    return min(tried, key=lambda layout: layout.objective)


def _starts(traffic: sparse.csr_matrix, x: IntArray, y: IntArray, home: IntArray) -> Iterator[tuple[bool, IntArray]]:
    """Whose place on the snake each core takes at first [cores], and whether this start is not a random one."""
    count, rng = len(home), np.random.default_rng(0)
    yield True, np.arange(count)
    if count > _FEW or np.ptp(x) + np.ptp(y) == 0:
        return
    if not home.any():
        hops = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
        yield True, quadratic_assignment((traffic + traffic.T).toarray(), hops, "faq", {"rng": rng}).col_ind
    for _ in range(_MORE if count <= _TINY else _RANDOM):
        order = np.arange(count)
        for chip in np.unique(home):
            order[home == chip] = rng.permutation(order[home == chip])
        yield False, order


def snake(home: IntArray, mesh: Mesh) -> tuple[IntArray, IntArray]:
    """Global column and row of each core, when those of each chip follow the snake in their order [cores]."""
    where = sites(mesh.cores, mesh)
    rank = np.zeros(len(home), np.int64)
    for chip in np.unique(home):
        own = np.flatnonzero(home == chip)
        rank[own] = np.arange(own.size)
    return home * mesh.tiles_x + where[rank, 1], where[rank, 2]


def moved(mapping: Mapping, x: IntArray, y: IntArray) -> Mapping:
    """The mapping with its cores on other tiles, given by global column and row; slots go by core number."""
    taken: dict[tuple[int, int], int] = {}
    cores = []
    for core, tile in zip(mapping.cores, zip(x.tolist(), y.tolist(), strict=True), strict=True):
        slot = taken[tile] = taken.get(tile, -1) + 1
        on_chip, column = divmod(tile[0], mapping.tiles_x)
        cores.append(replace(core, chip=on_chip, x=column, y=tile[1], slot=slot))
    return replace(mapping, cores=tuple(cores))
