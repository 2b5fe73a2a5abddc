"""XY routing: a packet first goes east or west to the target's column, then north or south."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from snn_export.network import IntArray


@dataclass(frozen=True, slots=True)
class Link:
    """A directed link between neighbouring tiles.

    Attributes:
        x: global column of the tile it leaves.
        y: row of the tile it leaves.
        direction: `E`, `W`, `N` or `S`.
    """

    x: int
    y: int
    direction: str


@dataclass(frozen=True, slots=True, eq=False)
class Routes:
    """Paths of a set of tile pairs.

    Attributes:
        links: the links that any path takes, sorted.
        incidence: sparse int64 [links, pairs], 1 where the pair's path takes the link.
        ew: east-west hops of each pair, int64 [pairs].
        ns: north-south hops of each pair, int64 [pairs].
    """

    links: tuple[Link, ...]
    incidence: sparse.csr_matrix
    ew: IntArray
    ns: IntArray


def path(source: tuple[int, int], target: tuple[int, int]) -> list[Link]:
    """The links from one tile (global column, row) to another, in order."""
    (x, y), (to_x, to_y) = source, target
    links = []
    while x != to_x:
        links.append(Link(x, y, "E" if to_x > x else "W"))
        x += 1 if to_x > x else -1
    while y != to_y:
        links.append(Link(x, y, "S" if to_y > y else "N"))
        y += 1 if to_y > y else -1
    return links


def route(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> Routes:
    """Route every pair (source tile, target tile)."""
    paths = [path(source, target) for source, target in pairs]
    links = tuple(sorted({link for p in paths for link in p}, key=lambda k: (k.x, k.y, k.direction)))
    number = {link: i for i, link in enumerate(links)}
    rows = [number[link] for p in paths for link in p]
    columns = np.repeat(np.arange(len(paths)), [len(p) for p in paths])
    ones = np.ones(len(rows), np.int64)
    incidence = sparse.csr_matrix((ones, (rows, columns)), (len(links), len(paths)), dtype=np.int64)
    ew = np.array([sum(k.direction in "EW" for k in p) for p in paths], np.int64)
    return Routes(links, incidence, ew, np.array([len(p) for p in paths], np.int64) - ew)
