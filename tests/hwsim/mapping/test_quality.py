"""Bounds lie below optima, optima below heuristics, and CP-SAT agrees with trying everything."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy import sparse

from hwsim.chip import load, names
from hwsim.mapping import DoesNotFit, map_network
from hwsim.mapping.bounds import lower_bound
from hwsim.mapping.layout import Layout
from hwsim.mapping.mapper import on_snake
from hwsim.mapping.objective import Objective, Pace, core_times
from hwsim.mapping.optimum import optimum
from hwsim.mapping.quality import Quality, assess
from hwsim.mapping.refine import refine

_ENOUGH = 1000.0


@st.composite
def _layouts(draw, most, chips=1):
    """A layout on a small mesh, a few cores on each tile, and the chip of each core."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, width, height = draw(st.integers(2, most)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    weights = rng.integers(0, 30, (count, count)) * (rng.random((count, count)) < draw(st.sampled_from([0.3, 0.8])))
    home = np.sort(rng.integers(0, chips, count))
    places = rng.integers(0, [width, height], (count, 2))
    pace = Pace(*(draw(st.sampled_from(options)) for options in ([0, 41], [0, 65], [0, 900])), "ps")
    return Layout(sparse.csr_matrix(weights), home * width + places[:, 0], places[:, 1], pace), home


def _all(layout, home):
    """The objectives of all placements that keep cores on their chips, and the best."""
    traffic = sparse.csr_matrix((layout.packets, layout.ends), layout.pairs.shape)
    found = []
    for order in map(np.array, permutations(range(len(home)))):
        if (home[order] == home).all():
            found.append(Layout(traffic, layout.x[order], layout.y[order], layout.pace).objective)
    return found


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_cp_sat_finds_what_trying_everything_finds(data):
    layout, home = data.draw(_layouts(5))
    assert optimum(layout, _ENOUGH) == min(_all(layout, home))


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_bounds_lie_below_every_placement_on_one_chip_and_on_two(data):
    layout, home = data.draw(_layouts(5, chips=2))
    bound, every = lower_bound(layout, home), _all(layout, home)
    assert bound.slowest <= min(found.slowest for found in every)
    assert bound.hops <= min(found.hops for found in every)


@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_the_optimum_lies_between_the_bound_and_what_swaps_reach(data):
    layout, home = data.draw(_layouts(8))
    best, bound = optimum(layout, _ENOUGH), lower_bound(layout, home)
    refine(layout, home)
    assert best <= layout.objective
    assert bound.slowest <= best.slowest
    assert bound.hops <= best.hops


@given(data=st.data(), name=st.sampled_from(names()))
@settings(max_examples=20, deadline=None)
def test_the_quality_of_a_mapping_is_never_better_than_its_bound(cases, small_chip, data, name):
    network, _ = data.draw(cases())
    chip = small_chip(name, neurons=data.draw(st.integers(4, 60)))
    try:
        mappings = map_network(network, chip), on_snake(network, chip)
    except DoesNotFit:
        reject()
    for mapping in mappings:
        found = assess(network, chip, mapping)
        assert found.objective.slowest >= found.bound.slowest >= found.core
        assert found.objective >= found.bound
        assert found.gap >= (0.0, 0.0)
        assert found.core >= found.core_bound
        if chip.timing == "barrier":
            assert found.core == round(core_times(network, chip, mapping).max() * 1e12)


def test_few_cores_are_held_against_the_optimum_and_more_against_a_bound(line, line_mapping, monkeypatch):
    chip = load("loihi1-fitted")
    mapping = line_mapping(chip)
    found = assess(line, chip, mapping)
    # four neurons are read by core 2; best it is on the tile of one of the two, three hops from the other
    assert (found.how, found.objective.hops, found.bound.hops) == ("optimum", 6, 6)
    far = replace(mapping, cores=(*mapping.cores[:2], replace(mapping.cores[2], x=7, y=3)))
    # 10 hops and 7 for two packets each; best it is between the others, 3 hops from the one and 7 from the other
    assert assess(line, chip, far).gap == (0.0, pytest.approx(34 / 20 - 1))
    monkeypatch.setattr("hwsim.mapping.quality.SMALL", 2)
    assert assess(line, chip, mapping).how == "optimum"  # the bound is reached
    found = assess(line, chip, far)
    assert found.how == "lower bound"
    assert found.bound.hops <= 20


def test_a_gap_is_a_share_of_the_bound_and_none_where_less_is_impossible():
    def gap(objective, bound):
        return Quality(Objective(*objective), Objective(*bound), "optimum", "ps", 0, 0).gap

    assert gap((30, 20), (20, 10)) == (0.5, 1.0)
    assert gap((0, 5), (0, 5)) == (0.0, 0.0)
    assert gap((30, 5), (20, 10)) == (0.5, 0.0)
