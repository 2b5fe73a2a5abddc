"""The minimum cut against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.partition.cut import energy_of, minimum_cut


def brute_force(chip, host, transfer, edges, inputs):
    """Energy of the cheapest assignment in which what feeds the chip is the chip or an input."""
    free = [name for name in chip if name not in inputs]
    best = np.inf
    for size in range(len(free) + 1):
        for chosen in combinations(free, size):
            if all(p in chosen or p in inputs for p, c in edges if c in chosen):
                best = min(best, energy_of(chosen, chip, host, transfer, edges))
    return best


@given(data=st.data())
@settings(max_examples=150)
def test_the_cut_is_as_cheap_as_the_best_of_all_assignments(data):
    count = data.draw(st.integers(2, 10))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    names = [f"op{i}" for i in range(count)]
    inputs = {names[0]}
    edges = [(names[int(rng.integers(0, i))], names[i]) for i in range(1, count)]
    edges += [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if rng.random() < 0.2]
    host = {name: float(rng.integers(0, 100)) * 1e-9 for name in names}
    chip = {name: float(rng.integers(0, 100)) * 1e-9 for name in names if rng.random() < 0.7}
    transfer = {name: float(rng.integers(0, 60)) * 1e-9 for name in names}
    on_chip = minimum_cut(chip, host, transfer, edges, inputs)
    assert on_chip <= set(chip)
    assert not on_chip & inputs
    found = energy_of(on_chip, chip, host, transfer, edges)
    assert found == pytest.approx(brute_force(chip, host, transfer, edges, inputs), rel=1e-9, abs=1e-17)


def test_a_pin_overrules_the_price():
    chip, host, transfer = {"a": 9.0}, {"in": 0.0, "a": 1.0}, {"in": 1.0, "a": 1.0}
    edges = [("in", "a")]
    assert minimum_cut(chip, host, transfer, edges, {"in"}) == frozenset()
    assert minimum_cut(chip, host, transfer, edges, {"in"}, pinned_to_chip={"a"}) == {"a"}


def test_a_value_with_many_consumers_is_paid_once():
    names = ["in", "a", "b", "c"]
    chip, host = {"a": 0.0}, {"in": 0.0, "a": 5.0, "b": 0.0, "c": 0.0}
    transfer = dict.fromkeys(names, 2.0)
    edges = [("in", "a"), ("a", "b"), ("a", "c")]
    assert minimum_cut(chip, host, transfer, edges, {"in"}) == {"a"}
    assert energy_of({"a"}, chip, host, transfer, edges) == 4.0
