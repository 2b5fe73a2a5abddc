"""Below what no placement can go: lower bounds of the slowest link and of hops, for cores that stay on their chips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.optimize import linear_sum_assignment

from hwsim.mapping.layout import Layout
from hwsim.mapping.objective import Objective
from snn_export.network import IntArray

_ASSIGN = 1024
"""More cores than this on one chip are bounded one by one, not by an assignment."""
_SPECTRUM = 512
"""More cores than this are not bounded by the spectrum of their traffic."""


def lower_bound(layout: Layout, home: IntArray) -> Objective:
    """Bounds of both parts of the objective, over all placements that use the same tiles.

    Args:
        layout: any placement.
        home: the chip of each core, which it does not leave [cores].
    """
    _, home = np.unique(home, return_inverse=True)
    hops = _distance_bound(layout, home, 1, 1)
    return Objective(max(layout.pace.floor, _link_bound(layout, home)), hops)


def _distance_bound(layout: Layout, home: IntArray, east: int, south: int) -> int:
    """Least sum over packets of the distance, a column counting `east` and a row `south`.

    Gilmore (1962) and Lawler (1963): at a given tile a core's packets cost at least what they cost if its
    heaviest partners took the nearest places; the best assignment of cores to places then bounds the sum.
    Packets between chips cross at least the columns between them.
    """
    total = 0.0
    for chip in np.unique(home):
        own = np.flatnonzero(home == chip)
        weights = _heaviest_first(sparse.csr_matrix(layout.pairs[own][:, own]))
        x, y = layout.x[own], layout.y[own]
        apart = east * np.abs(x[:, None] - x) + south * np.abs(y[:, None] - y)
        nearest = np.sort(apart, 1)[:, 1 : 1 + weights.shape[1]]
        cost = (weights @ nearest.T).astype(np.float64)
        places = linear_sum_assignment(cost) if own.size <= _ASSIGN else (np.arange(own.size), cost.argmin(1))
        total += cost[places].sum() / 2
    first, last = (np.array([edge(layout.x[home == c]) for c in range(home.max() + 1)]) for edge in (np.min, np.max))
    a, b = np.sort(home[layout.ends], 0)
    between = np.where(a < b, first[b] - last[a], 0) * east
    return int(np.ceil(total)) + int((between * layout.packets).sum())


def _heaviest_first(pairs: sparse.csr_matrix) -> IntArray:
    """The weights of each row in descending order, int64 [rows, most weights of a row]."""
    counts = np.diff(pairs.indptr)
    found = np.zeros((len(counts), int(counts.max(initial=0))), np.int64)
    found[np.arange(found.shape[1]) < counts[:, None]] = pairs.data
    return -np.sort(-found, 1)


def _link_bound(layout: Layout, home: IntArray) -> int:
    """Least time of the slowest link; all paths stay in the rectangle around the tiles."""
    width, height = (int(np.ptp(at)) + 1 for at in (layout.x, layout.y))
    ew, ns = layout.pace.ew, layout.pace.ns
    links = 2 * (width - 1) * height + 2 * width * (height - 1)
    if not links or not (ew or ns):
        return 0
    mean = -(-_distance_bound(layout, home, ew, ns) // links)
    bounds = [mean, _tile_bound(layout, min(2, width - 1), min(2, height - 1))]
    for chip in range(int(home.max())):
        source, target = home[layout.ends]
        for over in ((source <= chip) & (target > chip), (source > chip) & (target <= chip)):
            bounds.append(ew * -(-int(layout.packets[over].sum()) // height))
    if not home.any() and len(home) <= _SPECTRUM:
        bounds.append(_bisection_bound(layout, layout.x, ew, 2 * height))
        bounds.append(_bisection_bound(layout, layout.y, ns, 2 * width))
    return max(bounds)


def _tile_bound(layout: Layout, beside: int, below: int) -> int:
    """What a core sends or receives beyond its tile passes the links there: `beside` columns, `below` rows away."""
    ew, ns = layout.pace.ew, layout.pace.ns
    if (beside and not ew) or (below and not ns):
        return 0  # such a link takes any number of packets
    # the slowest of the links takes M where M / ew packets pass each link beside, M / ns each below
    rate = beside * max(ns, 1) + below * max(ew, 1)
    _, sharing = np.unique(np.stack([layout.x, layout.y]), axis=1, return_counts=True)
    worst = 0
    for end in (0, 1):
        places = (layout.ends[end], layout.ends[1 - end])
        flows = sparse.csr_matrix((layout.packets, places), layout.pairs.shape)
        weights = _heaviest_first(flows)
        worst = max(worst, int(weights[:, sharing.max() - 1 :].sum(1).max(initial=0)))
    return -(-worst * max(ew, 1) * max(ns, 1) // rate)


def _bisection_bound(layout: Layout, at: IntArray, pace: int, links: int) -> int:
    """Least time of a link between two columns (or rows): packets that must cross, shared by all its links.

    A cut between k and n - k cores carries at least lambda k (n - k) / n, with the second smallest eigenvalue of
    the Laplacian of the traffic (Fiedler 1973; Donath and Hoffman 1973).
    """
    pairs = layout.pairs.toarray().astype(np.float64)
    count = len(pairs)
    if count < 2:
        return 0
    second = max(0.0, float(np.linalg.eigvalsh(np.diag(pairs.sum(0)) - pairs)[1]))
    places = np.unique(at)
    left = np.array([(at <= a).sum() for a, _ in pairwise(places)])
    crossing = second * (left * (count - left)).max(initial=0) / count
    return int(pace * crossing / links * (1 - 1e-9))
