"""Which points no other one beats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hybrid.sweep.record import Point


def front_of(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points that no other one beats, by nominal energy, nominal latency and, where it is known, accuracy.

    A shorter interval is always cheaper: where no accuracy says what it loses, only points of the same interval
    are compared. A latency that is not known counts as the longest.
    """
    fitting = [point for point in points if point.energy_j is not None]
    return tuple(p for p in fitting if not any(_beats(q, p) for q in fitting))


def _beats(one: Point, other: Point) -> bool:
    if one.interval != other.interval and (one.top1 is None or other.top1 is None):
        return False
    mine, theirs = _objectives(one), _objectives(other)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def _objectives(point: Point) -> tuple[float, float, float]:
    """To be minimised."""
    energy = math.inf if point.energy_j is None else point.energy_j.nominal
    latency = math.inf if point.latency_s is None else point.latency_s.nominal
    return energy, latency, -(point.top1 or 0.0)
