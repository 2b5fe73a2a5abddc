"""Put cores on the mesh: a snake through the tiles in order of layers, then swaps that shorten the traffic.

The traffic between two cores is taken as the number of neurons of the one that the other reads: what would
cross in a step where all fire. Swaps are taken best first until none helps, or until a bound on the work;
only the sites that the snake covers are used, so that as few tiles as possible are mapped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwsim.chip import Mesh
from hwsim.mapping.geometry import AXES, Reach
from hwsim.mapping.model import Span
from hwsim.quantity import FloatArray
from snn_export.network import IntArray

Block = tuple[Span, Span, Span]

_WORK = 2 * 10**8
"""Bound on the matrix entries that swapping touches: about two seconds."""
SWAP_LIMIT = 2048
"""More cores than this stay on the snake: the matrices of all pairs would need gigabytes."""


def sites(count: int, mesh: Mesh) -> IntArray:
    """The first `count` places of the snake: int [count, 4] of chip, x, y, slot.

    Columns of tiles are walked down and up in turn, so that successive tiles are neighbours.
    """
    index = np.arange(count)
    chip, within = np.divmod(index, mesh.cores)
    tile, slot = np.divmod(within, mesh.cores_per_tile)
    x, down = np.divmod(tile, mesh.tiles_y)
    return np.stack([chip, x, np.where(x % 2, mesh.tiles_y - 1 - down, down), slot], 1)


def distances(places: IntArray, mesh: Mesh) -> FloatArray:
    """Hops between all pairs of places, chips side by side: float [places, places]."""
    x, y = places[:, 0] * mesh.tiles_x + places[:, 1], places[:, 2]
    return np.asarray(np.abs(x[:, None] - x) + np.abs(y[:, None] - y), np.float64)


def traffic(sources: Sequence[Block], targets: Sequence[Block], reach: Reach) -> FloatArray:
    """Neurons of each source block that each target block reads: float [sources, targets]."""
    shared = np.ones((len(sources), len(targets)))
    for axis in AXES:
        read = np.stack([reach.axes[axis][b[axis][0] : b[axis][1]].any(0) for b in targets])
        held = np.zeros((len(sources), read.shape[1]), bool)
        for i, block in enumerate(sources):
            held[i, slice(*block[axis])] = True
        shared *= held.astype(np.float64) @ read.T.astype(np.float64)
    return shared


def place(weights: FloatArray, hops: FloatArray) -> IntArray:
    """Assign cores to sites.

    Args:
        weights: symmetric traffic between cores, float [cores, cores], zero diagonal.
        hops: symmetric distance between sites, float [cores, cores].

    Returns:
        The site of each core, a permutation.
    """
    count = len(weights)
    site = np.arange(count)
    cost = weights @ hops  # [core, site]: cost of that core at that site, all others staying
    for _ in range(min(4 * count, _WORK // count**2)):
        at = cost[:, site]  # [core, core whose site is taken]
        own = at.diagonal()
        gain = own[:, None] + own - at - at.T - 2 * weights * hops[np.ix_(site, site)]
        i, j = divmod(int(gain.argmax()), count)
        if gain[i, j] <= 0:
            break
        shift = hops[site[j]] - hops[site[i]]
        cost += np.outer(weights[:, i] - weights[:, j], shift)
        site[i], site[j] = site[j], site[i]
    return site
