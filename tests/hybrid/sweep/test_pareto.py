"""The front of a sweep."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hybrid.sweep import front_of


def test_a_shorter_interval_beats_a_longer_one_only_where_its_accuracy_is_known(point):
    short, long = point(1, 1, interval=2), point(2, 2, interval=11)
    assert front_of([short, long]) == (short, long)
    worse, better = point(1, 1, interval=2, top1=0.5, samples=9), point(2, 2, top1=0.7, samples=9)
    assert front_of([worse, better]) == (worse, better)
    same = point(2, 2, top1=0.5, samples=9)
    assert front_of([worse, same]) == (worse,)


def test_what_does_not_fit_is_never_on_the_front_and_an_unknown_latency_is_the_longest(point):
    unfit, slow, quick = point(None, None), point(1, None), point(1, 5)
    assert front_of([unfit, slow, quick]) == (quick,)
    assert front_of([unfit, slow]) == (slow,)


@given(costs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=12))
def test_every_point_is_on_the_front_or_beaten_by_one_that_is(costs):
    from hybrid.report.model import Band
    from hybrid.sweep import Point

    def make(number, energy, latency):
        bands = [Band(low=x, nominal=x, high=x) for x in (energy, latency)]
        return Point(key=str(number), subject="s", model="m", interval=1, split="", on_chip=(), chip="c", link="l",
                     host="h", energy_j=bands[0], latency_s=bands[1])  # fmt: skip

    points = [make(number, *cost) for number, cost in enumerate(costs)]
    front = {(p.energy_j.nominal, p.latency_s.nominal) for p in front_of(points)}
    for cost in costs:
        no_worse = [x for x in front if x[0] <= cost[0] and x[1] <= cost[1]]
        assert no_worse
        assert (cost in front) == (no_worse == [cost])
