"""Swap cores until no swap improves the objective, or until a bound on the work; always in the same order."""

from __future__ import annotations

import numpy as np

from hwsim.mapping.layout import Layout
from snn_export.network import IntArray

_SWEPT = 4 * 10**7
"""Bound on the pairs of cores whose hops are compared: a few seconds."""
_TRIED = 6 * 10**4
"""Bound on the swaps whose link loads are worked out: a few seconds."""
_CORES = 16
"""Cores of the slowest link that are tried, and swaps of one core that save hops."""


def refine(layout: Layout, region: IntArray) -> float:
    """Lower the slowest link, then hops, in turn until neither falls.

    Args:
        layout: is changed; its objective never rises.
        region: cores of one region may swap, int [cores].

    Returns:
        The work that it took, as a share of what it may take.
    """
    work = _Work()
    while True:
        before = layout.objective
        _relieve(layout, region, work)
        _shorten(layout, region, work)
        if layout.objective == before or work.spent():
            return work.share()


class _Work:
    """What has been done, against its bounds."""

    def __init__(self) -> None:
        self.swept = self.tried = 0

    def share(self) -> float:
        """The larger share of the two bounds."""
        return max(self.swept / _SWEPT, self.tried / _TRIED)

    def spent(self) -> bool:
        """Whether either bound is reached."""
        return self.share() >= 1


def _relieve(layout: Layout, region: IntArray, work: _Work) -> None:
    """Swaps of cores whose packets take the slowest link, the best first, while it gets faster."""
    slowest = layout.slowest
    while slowest > layout.pace.floor and not work.spent():
        best = (slowest, 0, -1, -1)
        for core in layout.busiest()[:_CORES].tolist():
            others = np.flatnonzero((region == region[core]) & _elsewhere(layout, core))
            work.tried += others.size
            gains = layout.gains(core)
            after = layout.slowest_after(core, others)
            if others.size:
                i = np.lexsort((others, -gains[others], after))[0]
                best = min(best, (int(after[i]), -int(gains[others[i]]), core, int(others[i])))
        if best[0] == slowest:
            return
        layout.swap(*best[2:])
        slowest = best[0]


def _shorten(layout: Layout, region: IntArray, work: _Work) -> None:
    """Swaps that save hops and make no link slower than the slowest is, core by core."""
    slowest, improved = layout.slowest, True
    while improved and not work.spent():
        improved = False
        for core in range(len(region)):
            if work.spent():
                return
            gains = np.where(region == region[core], layout.gains(core), 0)
            work.swept += gains.size
            # only the best few are tried: sorting them all would cost more than it brings
            others = np.argsort(-gains, kind="stable")[:_CORES] if gains.max() > 0 else gains[:0]
            for other in others[gains[others] > 0].tolist():
                work.tried += 1
                if layout.slowest_after(core, np.array([other]))[0] <= slowest:
                    layout.swap(core, other)
                    improved = True
                    break


def _elsewhere(layout: Layout, core: int) -> IntArray:
    return np.asarray((layout.x != layout.x[core]) | (layout.y != layout.y[core]))
