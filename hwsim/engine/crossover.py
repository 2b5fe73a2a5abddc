"""Which way of computing a connection is faster: event by event, or all at once.

Both give the same bits, so that only the time depends on the choice. Costs are counted in additions of one vector
of weights (16 values) to 16-bit sums; the constants were measured by `benchmarks/crossover.py`, which prints both
ways at densities from 1 to 100 %, and hold within a factor of two.
"""

from __future__ import annotations

_WIDE = 2.0
"""An addition to 32-bit sums."""
_PER_MAC = 1 / 32
"""A multiply-accumulate of torch's float32 convolution or matrix product."""
_PER_SUM = 2.0
"""Bringing one finished sum from float32 to the integer sums."""


def prefers_dense(events: int, vectors: float, wide: bool, macs: int, sums: int) -> bool:
    """Whether to compute a connection all at once.

    Args:
        events: nonzero values that enter.
        vectors: vectors of weights that one event adds.
        wide: the sums have 32 bits.
        macs: multiply-accumulates of the dense product.
        sums: values that come out.
    """
    return events * vectors * (_WIDE if wide else 1.0) > macs * _PER_MAC + sums * _PER_SUM
