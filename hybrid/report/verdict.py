"""What holds between two figures for every value of the constants, and what stays undecided."""

from __future__ import annotations

import math
from collections.abc import Collection

from hybrid.report.model import Band, Verdict
from hybrid.report.side import NO_J, Figure

ROUNDING = 1e-9
"""Share of a figure below which a difference is rounding."""
OWNERS = {"chip": "chip", "link": "link", "ann": "host", "host": "host"}
"""Whose constants price each part of an energy."""


def change_of(left: Figure, right: Figure, shared: Collection[str]) -> Band:
    """Right minus left.

    An energy is a sum of counts times constants. A constant of both sides has one true value, so its event's
    change goes from one end to the other with it; constants of one side only vary freely. An event that one side
    does not have happens 0 times there. Static power counts as one constant with the time that it is multiplied by.

    Args:
        left: one figure.
        right: the other.
        shared: of `OWNERS`, those whose constants are the same on both sides.
    """
    if not left.kinds or not right.kinds:
        return _apart(left.value, right.value)
    changes = []
    for kind in dict.fromkeys((*left.kinds, *right.kinds)):
        a, b = left.kinds.get(kind, NO_J), right.kinds.get(kind, NO_J)
        if OWNERS[kind.split(":")[0]] in shared:
            ends = (b.low - a.low, b.high - a.high)
            changes.append(Band(low=min(ends), nominal=b.nominal - a.nominal, high=max(ends)))
        else:
            changes.append(_apart(a, b))
    return Band(
        low=sum(x.low for x in changes), nominal=sum(x.nominal for x in changes), high=sum(x.high for x in changes)
    )


def same(left: Figure, right: Figure) -> bool:
    """Whether two figures, of the same constants, are one: a mean over other videos may differ by its rounding."""
    pairs = [(left.value, right.value), *((left.kinds[x], right.kinds[x]) for x in left.kinds if x in right.kinds)]
    ends = ((getattr(a, end), getattr(b, end)) for a, b in pairs for end in ("low", "nominal", "high"))
    return left.kinds.keys() == right.kinds.keys() and all(math.isclose(a, b, rel_tol=ROUNDING) for a, b in ends)


def verdict_of(left: Figure, right: Figure, change: Band) -> Verdict:
    """What the right figure is; undecided where the change may have either sign."""
    rounding = ROUNDING * max(abs(left.value.high), abs(right.value.high))
    if max(abs(change.low), abs(change.high)) <= rounding:
        return "equal"
    if change.low > 0 or change.high < 0:
        return "higher" if change.low > 0 else "lower"
    return "undecided"


def _apart(left: Band, right: Band) -> Band:
    return Band(low=right.low - left.high, nominal=right.nominal - left.nominal, high=right.high - left.low)
