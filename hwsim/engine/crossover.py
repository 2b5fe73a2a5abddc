"""Which way of computing a connection is the fastest: event by event, by a table, or all at once.

All give the same bits, so that only the time depends on the choice. Costs are counted in additions of one vector
of weights (16 values) to 16-bit sums; the constants were measured by `benchmarks/crossover.py`, which prints all
ways at densities from 1 to 100 %, and hold within a factor of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_WIDE = 2.0
"""What is brought to 32-bit sums, against as much to 16-bit sums."""
_PER_LOOKUP = 1.0
"""Looking up one combination, for the three vectors that it adds."""
_PER_RUN = 1.0
"""Bringing the vector of a place that has all its lookups to 16-bit sums."""
_PER_MAC = 1 / 32
"""A multiply-accumulate of torch's float32 convolution or matrix product."""
_PER_SUM = 2.0
"""Bringing one finished sum from float32 to the integer sums."""


class Way(Enum):
    """How to compute the sums of a connection."""

    EVENTS = "events"
    TABLE = "table"
    DENSE = "at once"


@dataclass(frozen=True, slots=True)
class Work:
    """What a connection has to do for some values.

    Attributes:
        events: nonzero values that enter.
        vectors: vectors of weights that one event adds.
        runs: vectors of sums that are finished with lookups; None where there can be no table.
        lookups: lookups for each of those.
        macs: multiply-accumulates of the dense product.
        sums: values that come out.
        wide: the sums have 32 bits.
    """

    events: int
    vectors: float
    runs: float | None
    lookups: int
    macs: int
    sums: int
    wide: bool

    def costs(self) -> dict[Way, float]:
        """The cost of each way that there is."""
        addition = _WIDE if self.wide else 1.0
        found = {
            Way.EVENTS: self.events * self.vectors * addition,
            Way.DENSE: self.macs * _PER_MAC + self.sums * _PER_SUM,
        }
        if self.runs is not None:
            found[Way.TABLE] = self.runs * (self.lookups * _PER_LOOKUP + _PER_RUN * addition)
        return found

    def cheapest(self) -> Way:
        """The way that costs least."""
        costs = self.costs()
        return min(costs, key=lambda way: costs[way])
