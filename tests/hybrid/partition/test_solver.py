"""Plans by CP-SAT against brute force: latency, limited cores, and the front."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.errors import IllegalPlanError
from hybrid.partition.problem import Problem, allowed, depth, figures
from hybrid.partition.solver import best, front


@st.composite
def problems(draw):
    """Random graphs of up to 12 ops; whole picojoules and nanoseconds, so that sums compare exactly."""
    count, rng = draw(st.integers(2, 12)), np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    names = [f"op{i}" for i in range(count)]
    edges = [(names[int(rng.integers(0, i))], names[i]) for i in range(1, count)]
    edges += [(a, b) for i, a in enumerate(names) for b in names[i + 1 :] if rng.random() < 0.2]

    def numbers(high, unit, share=1.0):
        return {x: int(rng.integers(0, high)) * unit for x in names if rng.random() <= share}

    steps, once = numbers(30, 1e-9), set(numbers(2, 1.0, 0.2))
    chip = numbers(100, 1e-12, draw(st.sampled_from([0.4, 0.8, 1.0])))
    pinned = {x for x in list(chip)[1:3] if rng.random() < 0.15 and all(p in (names[0], x) for p, c in edges if c == x)}
    return Problem(
        tuple(sorted(set(edges), key=lambda e: names.index(e[1]))),
        frozenset(names[:1]),
        numbers(100, 1e-12),
        numbers(100, 1e-9),
        chip,
        {x: s for x, s in steps.items() if x not in once},
        {x: int(rng.integers(1, 5)) for x in names},
        numbers(60, 1e-12),
        numbers(60, 1e-9),
        {x: s for x, s in steps.items() if x in once},
        steps=draw(st.integers(1, 5)),
        sync_s=draw(st.sampled_from([0.0, 3e-9])),
        to_chip=frozenset(pinned - {names[0]}),
        to_host=frozenset(names[-1:]) - pinned,
        most_cores=draw(st.sampled_from([None, 0, 3, 8])),
    )


def everything(problem):
    """Figures of all allowed assignments."""
    found = {}
    for size in range(len(problem.free) + 1):
        for chosen in combinations(problem.free, size):
            if allowed(problem, chosen):
                found[frozenset(chosen)] = figures(problem, chosen)
    return found


@given(problem=problems(), goal=st.sampled_from(["energy", "latency"]))
@settings(max_examples=150)
def test_the_best_plan_is_as_good_as_the_best_of_all_assignments(problem, goal):
    every = everything(problem)
    if not every:
        with pytest.raises(IllegalPlanError, match="cores"):
            best(problem, goal)
        return
    found = best(problem, goal)
    assert found in every
    key = "energy_j" if goal == "energy" else "latency_s"
    least = min(getattr(x, key) for x in every.values())
    assert getattr(every[found], key) == pytest.approx(least, rel=1e-9, abs=1e-16)


@given(problem=problems())
@settings(max_examples=100)
def test_the_front_holds_exactly_what_no_other_assignment_beats(problem):
    every = {(round(x.energy_j * 1e12), round(x.latency_s * 1e9)) for x in everything(problem).values()}
    if not every:
        return
    expected = {p for p in every if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in every)}
    points = front(problem)
    got = [(round(x.energy_j * 1e12), round(x.latency_s * 1e9)) for _, x in points]
    assert set(got) == expected
    assert got == sorted(got)
    assert all(allowed(problem, chosen) for chosen, _ in points)


@given(problem=problems())
@settings(max_examples=60)
def test_the_cut_and_the_solver_agree_on_energy(problem):
    cut = best(replace(problem, most_cores=None), "energy")
    solver = best(replace(problem, most_cores=10**6), "energy")
    assert figures(problem, cut).energy_j == pytest.approx(figures(problem, solver).energy_j, rel=1e-9, abs=1e-16)


def test_the_best_plan_beats_a_thousand_random_ones():
    rng = np.random.default_rng(3)
    names = [f"op{i}" for i in range(60)]
    edges = [(names[int(rng.integers(max(0, i - 4), i))], names[i]) for i in range(1, 60)]

    def numbers(unit):
        return {x: float(rng.integers(1, 1000)) * unit for x in names}

    problem = Problem(
        tuple(edges), frozenset(names[:1]), numbers(1e-12), numbers(1e-9), numbers(1e-12), numbers(1e-9),
        {x: int(rng.integers(1, 9)) for x in names}, numbers(3e-13), numbers(3e-10), steps=4, most_cores=120,
    )  # fmt: skip
    found = {goal: figures(problem, best(problem, goal)) for goal in ("energy", "latency")}
    tried = 0
    while tried < 1000:
        chosen: set[str] = set()
        for producer, consumer in edges:
            if (producer in chosen or producer == names[0]) and rng.random() < 0.7:
                chosen.add(consumer)
        if allowed(problem, chosen):
            tried += 1
            other = figures(problem, chosen)
            assert other.energy_j >= found["energy"].energy_j * (1 - 1e-9)
            assert other.latency_s >= found["latency"].latency_s * (1 - 1e-9)


def test_the_slowest_core_sets_the_pace_of_all_steps():
    # two ops, of which only one is worth it: together they would wait for the slow one in every step
    edges = (("in", "fast"), ("in", "slow"), ("fast", "out"), ("slow", "out"))
    nothing = dict.fromkeys(("in", "fast", "slow", "out"), 0.0)
    problem = Problem(
        edges, frozenset(["in"]), nothing, nothing | {"fast": 50e-9, "slow": 20e-9}, {"fast": 0.0, "slow": 0.0},
        {"fast": 1e-9, "slow": 9e-9}, {"fast": 1, "slow": 1}, nothing, nothing, steps=10,
    )  # fmt: skip
    assert best(problem, "latency") == {"fast"}
    assert figures(problem, {"fast"}).latency_s == pytest.approx(20e-9 + 10 * 1e-9)


def test_what_is_pinned_and_does_not_fit_is_said():
    problem = Problem(
        (("in", "a"),), frozenset(["in"]), {"in": 0.0, "a": 1.0}, None, {"a": 1.0}, {"a": 1.0}, {"a": 9},
        {"in": 0.0, "a": 0.0}, {"in": 0.0, "a": 0.0}, to_chip=frozenset(["a"]), most_cores=4,
    )  # fmt: skip
    with pytest.raises(IllegalPlanError, match="takes 9 cores, and 4 are allowed"):
        best(problem, "energy")


def test_a_latency_without_the_hosts_times_is_refused():
    problem = Problem(
        (("in", "a"),), frozenset(["in"]), {"in": 0.0, "a": 1.0}, None, {"a": 1.0}, {"a": 1.0}, {"a": 9},
        {"in": 0.0, "a": 0.0}, {"in": 0.0, "a": 0.0},
    )  # fmt: skip
    with pytest.raises(IllegalPlanError, match="times are not known"):
        best(problem, "latency")


def test_depth_counts_the_longest_chain_on_the_chip():
    assert depth((("a", "b"), ("b", "c"), ("a", "c")), {"a", "b", "c"}) == 3
    assert depth((("a", "b"), ("b", "c")), {"a", "c"}) == 1
