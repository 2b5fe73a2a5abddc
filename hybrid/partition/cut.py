"""The exact minimum cut: which ops go to the chip so that compute and link energy together are least."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import networkx as nx

SCALE = 10**18
"""Energies become whole attojoules, so that the cut is exact."""


def minimum_cut(
    chip: Mapping[str, float],
    host: Mapping[str, float],
    transfer: Mapping[str, float],
    edges: Sequence[tuple[str, str]],
    inputs: Collection[str],
    pinned_to_chip: Collection[str] = (),
    pinned_to_host: Collection[str] = (),
) -> frozenset[str]:
    """Names of the ops on the chip in the cheapest assignment.

    A value that crosses is paid once, however many consumers it has on the other side. The chip part is one
    stage: what feeds it is the inputs or the chip itself, never another op of the host.

    Args:
        chip: energy of each op on the chip; an op that is not listed cannot run there.
        host: energy of each op on the host.
        transfer: energy of moving each op's result across the link.
        edges: (producer, consumer) pairs.
        inputs: ops whose result begins on the host.
        pinned_to_chip: ops that must run on the chip.
        pinned_to_host: ops that must run on the host.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(("chip", "host"))
    for name in host:
        graph.add_edge("chip", ("op", name), **_capacity(None if name in pinned_to_chip else host[name]))
        free = name in chip and name not in inputs and name not in pinned_to_host
        graph.add_edge(("op", name), "host", **_capacity(chip[name] if free else None))
    for producer, consumer in edges:
        graph.add_edge(("op", producer), ("down", producer), **_capacity(transfer[producer]))
        graph.add_edge(("down", producer), ("op", consumer))
        if producer in inputs:
            graph.add_edge(("up", producer), ("op", producer), **_capacity(transfer[producer]))
            graph.add_edge(("op", consumer), ("up", producer))
        else:
            graph.add_edge(("op", consumer), ("op", producer))
    _, (chip_side, _) = nx.minimum_cut(graph, "chip", "host")
    return frozenset(node[1] for node in chip_side if node[0] == "op")


def energy_of(
    on_chip: Collection[str],
    chip: Mapping[str, float],
    host: Mapping[str, float],
    transfer: Mapping[str, float],
    edges: Sequence[tuple[str, str]],
) -> float:
    """Energy of an assignment: what `minimum_cut` minimises."""
    compute = sum(chip[name] if name in on_chip else host[name] for name in host)
    crossing = {producer for producer, consumer in edges if (producer in on_chip) != (consumer in on_chip)}
    return compute + sum(transfer[name] for name in crossing)


def _capacity(energy: float | None) -> dict[str, int]:
    """networkx takes an edge without a capacity as unlimited."""
    return {} if energy is None else {"capacity": round(energy * SCALE)}
