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


DIRECTIONS = "ENSW"
"""Directions in the order of `Link`s."""


def route(pairs: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> Routes:
    """Route every pair (source tile, target tile); a tile is its global column and row."""
    source, target = np.array(pairs, np.int64).reshape(-1, 2, 2).transpose(1, 2, 0)
    ew, ns = np.abs(target - source)
    number = np.arange(len(ew))
    along, step = np.repeat(number, ew), _steps(ew)
    east = target[0] > source[0]
    across, fall = np.repeat(number, ns), _steps(ns)
    south = target[1] > source[1]
    x = np.concatenate([source[0][along] + np.where(east[along], step, -step), target[0][across]])
    y = np.concatenate([source[1][along], source[1][across] + np.where(south[across], fall, -fall)])
    direction = np.concatenate([np.where(east[along], 0, 3), np.where(south[across], 2, 1)])
    height = int(y.max(initial=0)) + 1
    keys, row = np.unique((x * height + y) * 4 + direction, return_inverse=True)
    links = tuple(Link(k // 4 // height, k // 4 % height, DIRECTIONS[k % 4]) for k in keys.tolist())
    column = np.concatenate([along, across])
    ones = np.ones(len(column), np.int64)
    incidence = sparse.csr_matrix((ones, (row.reshape(-1), column)), (len(links), len(ew)), dtype=np.int64)
    return Routes(links, incidence, ew, ns)


def _steps(lengths: IntArray) -> IntArray:
    """0, 1, ... up to each length less one, one after the other."""
    return np.asarray(np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths))
