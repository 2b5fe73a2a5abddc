"""Layouts keep hops and link loads right swap by swap; swaps never make the objective worse."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from hwsim.mapping.layout import Layout
from hwsim.mapping.objective import Objective, Pace
from hwsim.mapping.refine import refine
from hwsim.mapping.routing import route


@st.composite
def _layouts(draw, zero=False):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, width, height = draw(st.integers(1, 14)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    weights = rng.integers(0, 30, (count, count)) * (rng.random((count, count)) < draw(st.sampled_from([0.2, 0.6, 1])))
    places = rng.integers(0, [width, height], (count, 2))
    pace = Pace(0, 0, 0, "ps") if zero else Pace(*(draw(st.integers(0, 9)) for _ in range(3)), "ps")
    return Layout(sparse.csr_matrix(weights), places[:, 0], places[:, 1], pace), weights


def _recomputed(weights, x, y, pace):
    """The objective from the routes of all flows."""
    source, target = np.nonzero(weights)
    routes = route([((x[a], y[a]), (x[b], y[b])) for a, b in zip(source, target, strict=True)])
    packets = weights[source, target]
    times = [pace.ew if link.direction in "EW" else pace.ns for link in routes.links] * (routes.incidence @ packets)
    hops = int(((routes.ew + routes.ns) * packets).sum())
    return Objective(int(max([pace.floor, *times])), hops)


@given(data=st.data())
def test_what_swaps_give_equals_what_the_routes_give(data):
    layout, weights = data.draw(_layouts())
    x, y = layout.x.copy(), layout.y.copy()
    everyone = np.arange(len(x))
    for _ in range(4):
        assert layout.objective == _recomputed(weights, x, y, layout.pace)
        core = data.draw(st.integers(0, len(x) - 1))
        after, gains = layout.slowest_after(core, everyone), layout.gains(core)
        for other in everyone:
            order = everyone.copy()
            order[[core, other]] = order[[other, core]]
            expected = _recomputed(weights, x[order], y[order], layout.pace)
            assert Objective(after[other], layout.hops - gains[other]) == expected
        other = data.draw(st.integers(0, len(x) - 1))
        layout.swap(core, other)
        for at in (x, y):
            at[[core, other]] = at[[other, core]]
        assert np.array_equal(layout.x, x)
        assert np.array_equal(layout.y, y)


@given(data=st.data())
def test_the_busiest_cores_are_those_with_packets_over_the_slowest_link(data):
    layout, weights = data.draw(_layouts())
    source, target = np.nonzero(weights)
    tiles = np.stack([layout.x, layout.y], 1)
    routes = route([(tuple(tiles[a]), tuple(tiles[b])) for a, b in zip(source, target, strict=True)])
    pace = [layout.pace.ew if link.direction in "EW" else layout.pace.ns for link in routes.links]
    times = pace * (routes.incidence @ weights[source, target])
    if not len(times) or times.max() == 0:
        return
    over = [routes.incidence[i].toarray()[0] > 0 for i in np.flatnonzero(times == times.max())]
    assert set(layout.busiest().tolist()) in [set(source[o]) | set(target[o]) for o in over]


@given(data=st.data())
@settings(max_examples=60)
def test_refining_never_worsens_the_objective_and_keeps_cores_in_their_region(data):
    layout, weights = data.draw(_layouts())
    region = np.array([data.draw(st.integers(0, 1)) for _ in layout.x])
    before = layout.objective
    tiles = [sorted(zip(layout.x[region == r], layout.y[region == r], strict=True)) for r in (0, 1)]
    refine(layout, region)
    assert layout.objective == _recomputed(weights, layout.x, layout.y, layout.pace) <= before
    assert tiles == [sorted(zip(layout.x[region == r], layout.y[region == r], strict=True)) for r in (0, 1)]


@given(data=st.data())
@settings(max_examples=40)
def test_no_swap_saves_hops_in_the_end_where_links_take_no_time(data):
    layout, _ = data.draw(_layouts(zero=True))
    refine(layout, np.zeros(len(layout.x), int))
    assert all(layout.gains(core).max() <= 0 for core in range(len(layout.x)))
