"""Placement: the snake is connected, swaps only ever help."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwsim.chip import load
from hwsim.mapping.placement import distances, place, sites


def test_successive_tiles_of_the_snake_are_neighbours_even_between_chips():
    mesh = load("tianjic").mesh
    where = sites(2 * mesh.cores, mesh)
    hops = distances(where, mesh)
    assert len({tuple(row) for row in where.tolist()}) == 2 * mesh.cores
    inside = [hops[i, i + 1] for i in range(mesh.cores - 1)]
    assert inside == [1.0] * (mesh.cores - 1)


@given(st.integers(0, 2**32 - 1), st.integers(2, 20))
def test_swaps_give_a_permutation_that_is_no_worse_and_that_no_swap_improves(seed, count):
    rng = np.random.default_rng(seed)
    weights = rng.integers(0, 9, (count, count)).astype(float)
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    mesh = load("loihi1").mesh
    hops = distances(sites(count, mesh), mesh)

    def cost(site):
        return (weights * hops[np.ix_(site, site)]).sum()

    site = place(weights, hops)
    assert sorted(site) == list(range(count))
    assert cost(site) <= cost(np.arange(count))
    for i in range(count):
        for j in range(i):
            other = site.copy()
            other[i], other[j] = site[j], site[i]
            assert cost(other) >= cost(site)
