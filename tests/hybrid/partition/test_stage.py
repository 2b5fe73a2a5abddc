"""The ways to cut the real model."""

from __future__ import annotations

from itertools import combinations

from hybrid.partition.stage import producers_of, splits


def test_the_splits_are_exactly_the_sets_closed_under_what_feeds_them(traced):
    ops, producers = [name for name, op in traced.ops.items() if op.spiking], producers_of(traced)
    closed = {
        chosen
        for size in range(len(ops) + 1)
        for chosen in combinations(ops, size)
        if all(p in chosen or traced.ops[p].kind == "input" for x in chosen for p in producers[x])
    }
    found = splits(traced)
    assert len(ops) == 6
    assert set(found) == closed
    assert len(found) == len(closed) == 16
    assert [len(split) for split in found] == sorted(len(split) for split in found)


def test_where_there_are_too_many_only_those_in_the_order_of_execution_are_left(traced):
    ops = [name for name, op in traced.ops.items() if op.spiking]
    assert splits(traced, most=15) == tuple(tuple(ops[:count]) for count in range(7))
