"""What can form the chip's part, which is one stage, and all the ways to cut it."""

from __future__ import annotations

from collections.abc import Collection

from hybrid.graph import ModelGraph
from hybrid.partition.legality import violations

MOST_SPLITS = 64
"""Beyond this many ways to cut, only those that follow the order of execution are listed."""
Split = tuple[str, ...]
"""The ops on the chip, in execution order."""


def sources_of(graph: ModelGraph) -> frozenset[str]:
    """Ops whose result the host has and may send to the chip."""
    return frozenset(name for name, op in graph.ops.items() if op.kind == "input" or op.feeds)


def stage(graph: ModelGraph, legal: Collection[str]) -> set[str]:
    """The legal ops that can form one chip stage: everything that feeds them is legal too, or a source."""
    found: set[str] = set()
    sources, producers = sources_of(graph), producers_of(graph)
    for name in graph.ops:
        if name in legal and producers[name] <= found | sources:
            found.add(name)
    return found


def producers_of(graph: ModelGraph) -> dict[str, set[str]]:
    """What feeds each op."""
    producers: dict[str, set[str]] = {name: set() for name in graph.ops}
    for producer, consumer in value_edges(graph):
        producers[consumer].add(producer)
    return producers


def value_edges(graph: ModelGraph) -> tuple[tuple[str, str], ...]:
    """The edges that carry tensors; shapes and numbers are known before anything runs."""
    return tuple((producer, consumer) for producer, consumer in graph.edges if graph.ops[producer].shape)


def splits(graph: ModelGraph, most: int = MOST_SPLITS) -> tuple[Split, ...]:
    """The ways to cut that the rules allow, from nothing on the chip to everything: sets closed under what feeds them.

    Where there are more than `most`, only the first op, the first two, and so on, in execution order.
    """
    lawful = {name for name in graph.populations if not violations(graph.ops[name], graph)}
    members = stage(graph, lawful)
    ops = [name for name in graph.ops if name in members]
    producers = producers_of(graph)
    found: list[Split] = [()]
    for name in ops:
        needed = producers[name] & members
        found += [(*split, name) for split in found if needed <= set(split)]
        if len(found) > most:
            return tuple(tuple(ops[:count]) for count in range(len(ops) + 1))
    return tuple(sorted(found, key=lambda split: (len(split), [ops.index(name) for name in split])))
