"""The graph of a NIR file as plain data: subgraphs opened up, ops known, no cycles, in topological order."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_export.hdf5 import Tree
from snn_export.network import IntArray, NetworkError

NEURONS = ("IF", "LIF", "CubaLIF", "I", "LI", "CubaLI", "Threshold")
LINEAR = ("Conv2d", "Linear", "Affine", "Scale", "Flatten", "SumPool2d", "AvgPool2d")
REFUSED = {
    "Delay": "train without delays",
    "Conv1d": "use Conv2d with one row",
}
"""Ops of NIR that cannot run here, and what to use instead."""
DEPTH_LIMIT = 16


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One node.

    Attributes:
        name: unique; inside a subgraph, the names of the graphs around it come first.
        op: NIR's name of the operation.
        fields: its parameters, by NIR's names.
        where: file and node, for errors.
        sources: names of the nodes whose values add up to its input.
    """

    name: str
    op: str
    fields: Mapping[str, Any]
    where: str
    sources: tuple[str, ...]

    def error(self, what: str, fix: str) -> NetworkError:
        """The error for this node."""
        return NetworkError(self.where, what, fix)

    def numbers(self, name: str, default: float | None = None) -> IntArray:
        """A parameter as a float64 array of any shape."""
        value = self.fields.get(name, default)
        array = np.asarray(np.nan if value is None or isinstance(value, (str, dict)) else value)
        if array.dtype.kind not in "iufb" or array.size == 0 or not np.isfinite(array.astype(np.float64)).all():
            raise self.error(f"its {name} is missing, empty or not finite", "export the network again")
        return array.astype(np.float64)

    def pair(self, name: str) -> tuple[int, int]:
        """Rows and columns of a parameter; one number stands for both."""
        values = self.numbers(name).ravel()
        if values.size not in (1, 2) or (values != np.rint(values)).any() or (np.abs(values) > 2**15).any():
            raise self.error(f"its {name} is not one or two whole numbers", "export the network again")
        return int(values[0]), int(values[-1])

    def shape(self, name: str) -> tuple[int, ...]:
        """A shape; leading sizes of 1 beyond (C, H, W) or (N,) are the exporter's batch, and are dropped."""
        sizes = [int(n) for n in self.numbers(name).ravel()]
        while len(sizes) in (2, 4) and sizes[0] == 1:
            sizes.pop(0)
        if len(sizes) not in (1, 3) or min(sizes) < 1:
            raise self.error(f"its shape {tuple(sizes)} is not (C, H, W) or (N,)", "export with a shape without batch")
        return tuple(sizes)


def nodes(tree: Tree, where: str) -> tuple[Node, ...]:
    """The nodes of a graph, sources before their users.

    Args:
        tree: the graph as `nir.NIRGraph.to_dict` and the file have it.
        where: the file, for errors.

    Raises:
        NetworkError: for an op that is unknown or cannot run here, an edge to nowhere, or a cycle.
    """
    found: dict[str, tuple[str, Tree]] = {}
    edges: list[tuple[str, str]] = []
    _open(tree, "", where, found, edges, 0)
    sources: dict[str, dict[str, None]] = {name: {} for name in found}
    for start, end in edges:
        for name in (start, end):
            if name not in found:
                raise NetworkError(where, f"an edge names {name!r}, which is no node", f"use one of {sorted(found)}")
        sources[end][start] = None
    try:
        order = list(graphlib.TopologicalSorter(sources).static_order())
    except graphlib.CycleError as error:
        cycle = " -> ".join(error.args[1])
        what = f"the nodes {cycle} form a cycle: recurrent networks cannot be run here"
        raise NetworkError(where, what, "train without recurrent connections") from None
    return tuple(Node(n, found[n][0], found[n][1], f"{where}:{n}", tuple(sources[n])) for n in order)


def _open(tree: Tree, prefix: str, where: str, found: dict[str, Any], edges: list[tuple[str, str]], depth: int) -> None:
    """Collect the nodes and edges of a graph and of the graphs in it."""
    members = tree.get("nodes")
    if not isinstance(members, dict) or depth > DEPTH_LIMIT:
        raise NetworkError(where, f"the graph {prefix or 'of the file'!r} has no nodes", "give a NIR graph")
    inner: dict[str, tuple[list[str], list[str]]] = {}
    for name, node in members.items():
        full = f"{prefix}{name}"
        op = _op(node, f"{where}:{full}")
        if op != "NIRGraph":
            # the ports of a subgraph only hand values on
            handed = depth > 0 and op in ("Input", "Output")
            found[full] = ("Identity" if handed else op, node)
            continue
        _open(node, f"{full}.", where, found, edges, depth + 1)
        ports = {k: [f"{full}.{n}" for n, x in node["nodes"].items() if x["type"] == k] for k in ("Input", "Output")}
        inner[full] = (ports["Input"], ports["Output"])
    for start, end in _edges(tree, where):
        begins, ends = prefix + start, prefix + end
        for a in inner[begins][1] if begins in inner else [begins]:
            edges.extend((a, b) for b in (inner[ends][0] if ends in inner else [ends]))


def _op(node: Any, where: str) -> str:
    op = node.get("type") if isinstance(node, dict) else None
    if not isinstance(op, str):
        raise NetworkError(where, "it has no type, or one that is no text", "give a NIR graph")
    if op in REFUSED:
        raise NetworkError(where, f"the op {op} cannot be run here", REFUSED[op])
    known = ("Input", "Output", "NIRGraph", *LINEAR, *NEURONS)
    if op not in known:
        raise NetworkError(where, f"the op {op!r} is not known here", f"use {', '.join(sorted(known))}")
    return op


def _edges(tree: Tree, where: str) -> list[tuple[str, str]]:
    edges = np.asarray(tree.get("edges", []), object)
    if edges.size and (edges.ndim != 2 or edges.shape[1] != 2 or not all(isinstance(x, str) for x in edges.ravel())):
        raise NetworkError(where, "its edges are not pairs of node names", "export the network again")
    return [(str(a), str(b)) for a, b in edges] if edges.size else []
