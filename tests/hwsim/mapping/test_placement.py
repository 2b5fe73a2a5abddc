"""Placement: legal, always the same, chips with little between them, never worse than the snake."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy import sparse

from hwsim.chip import load, names
from hwsim.mapping import DoesNotFit, map_network
from hwsim.mapping.layout import Layout
from hwsim.mapping.mapper import on_snake
from hwsim.mapping.objective import core_times, pace_of
from hwsim.mapping.placement import sites, snake
from hwsim.mapping.split import assign_chips, crossing
from hwsim.mapping.traffic import core_traffic


def _objective(network, chip, mapping):
    x, y = np.array(mapping.tiles).T
    return Layout(core_traffic(network, mapping), x, y, pace_of(network, chip, mapping)).objective


def test_successive_tiles_of_the_snake_are_neighbours():
    mesh = load("tianjic").mesh
    where = sites(2 * mesh.cores, mesh)
    assert len({tuple(row) for row in where.tolist()}) == 2 * mesh.cores
    steps = np.abs(np.diff(where[: mesh.cores, 1:3], axis=0)).sum(1)
    assert steps.tolist() == [1] * (mesh.cores - 1)


@given(data=st.data(), name=st.sampled_from(names()))
@settings(max_examples=40)
def test_cores_keep_their_blocks_get_places_of_their_own_and_beat_the_snake(cases, small_chip, data, name):
    network, _ = data.draw(cases())
    chip = small_chip(name, neurons=data.draw(st.integers(4, 60)))
    try:
        before = on_snake(network, chip)
    except DoesNotFit:
        reject()
    after = map_network(network, chip)
    assert [(c.id, c.layer, c.block, c.used) for c in after.cores] == [
        (c.id, c.layer, c.block, c.used) for c in before.cores
    ]
    places = {(core.chip, core.x, core.y, core.slot) for core in after.cores}
    assert len(places) == len(after.cores)
    assert all(0 <= c < after.chips and x < 3 and y < 2 and slot < 2 for c, x, y, slot in places)
    if after.chips == 1:
        assert _objective(network, chip, after) <= _objective(network, chip, before)
    else:
        cut = [crossing(core_traffic(network, m), np.array([c.chip for c in m.cores])) for m in (after, before)]
        assert cut[0] <= cut[1]
    assert map_network(network, chip) == after


@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(1, 6))
def test_chips_are_filled_within_their_capacity_with_no_more_between_them_than_in_order(seed, chips, capacity):
    rng = np.random.default_rng(seed)
    count = int(rng.integers((chips - 1) * capacity + 1, chips * capacity + 1))
    weights = rng.integers(0, 9, (count, count)) * (rng.random((count, count)) < 0.4)
    traffic = sparse.csr_matrix(weights)
    home = assign_chips(traffic, chips, capacity)
    assert np.bincount(home, minlength=chips).max() <= capacity
    assert crossing(traffic, home) == weights[home[:, None] != home].sum()
    assert crossing(traffic, home) <= crossing(traffic, np.arange(count) // capacity)


def test_two_networks_side_by_side_take_a_chip_each():
    # two cliques of 5, numbered in turn, on two chips of 8
    group = np.arange(10) % 2
    traffic = sparse.csr_matrix((group[:, None] == group).astype(int))
    home = assign_chips(traffic, 2, 8)
    assert crossing(traffic, home) == 0
    x, y = snake(home, load("loihi1").mesh)
    assert (x // 8 == home).all()
    assert set(y[:4].tolist()) <= {0, 1}


@pytest.mark.parametrize(("name", "unit"), [("loihi2", "ps"), ("tianjic", "packets")])
def test_the_floor_is_the_time_of_the_slowest_core_where_times_are_known(line, line_mapping, name, unit):
    chip = load(name)
    mapping = line_mapping(chip)
    pace = pace_of(line, chip, mapping)
    assert pace.unit == unit
    if unit == "ps":
        # 2 neurons at 4.2 ns and, by what `line_mapping` says is used, 1 packet at 0.21 ns: more than the 2, 2 and 8
        # synaptic operations at 0.7 ns
        assert core_times(line, chip, mapping) * 1e9 == pytest.approx([8.61] * 3, rel=1e-12)
        assert (pace.ew, pace.ns, pace.floor) == (4100, 6500, 8610)
