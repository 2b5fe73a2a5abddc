"""Roll a program that runs step after step up into one op per population, and say each in the contract's terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import networkx as nx
import torch
from torch import Tensor, fx, nn

from hybrid.graph.cells import Layout, Role, kind_of
from hybrid.graph.expression import Expression, Leaf
from hybrid.graph.fold import Cells, Feed, Folding, Held, Part, Reader, Slices, Stack, find_cells
from hybrid.graph.population import Population, Source, describe
from hybrid.graph.rolled import Rolled
from hybrid.graph.synapses import source_of

Key: TypeAlias = fx.Node | Part
LOOP = "its input depends on its own spikes of an earlier step: a recurrent connection, and a network here has no loops"
STATE = "more of its state is used than its spikes or its potential"


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A rolled program.

    Attributes:
        module: the program.
        names: op name of each of its nodes that has one of its own.
        populations: by op name.
        refused: op name of a cell that is left as it is, and why.
    """

    module: fx.GraphModule
    names: Mapping[fx.Node, str]
    populations: Mapping[str, Population]
    refused: Mapping[str, str]


@dataclass(slots=True, eq=False)
class _Read:
    """The populations of a program with what feeds them."""

    found: Folding
    expressions: list[Expression]
    feeds: list[tuple[Feed, ...]]


class _Apart(Exception):
    """A population that cannot be rolled, by its number."""

    def __init__(self, numbers: tuple[int, ...], reason: str) -> None:
        super().__init__(reason)
        self.numbers, self.reason = numbers, reason


def roll(root: nn.Module, graph: fx.Graph) -> Program:
    """Roll the program `graph`, whose nodes know their values, of the model `root`."""
    modules = dict(root.named_modules())

    def module_of(node: fx.Node) -> nn.Module | None:
        return modules[str(node.target)] if node.op == "call_module" else None

    apart: dict[fx.Node, str] = {}
    while True:
        found = find_cells(graph, module_of, apart)
        read = _read(found, module_of)
        try:
            order = _order(graph, read)
        except _Apart as error:
            apart |= {found.cells[number].calls[0]: error.reason for number in error.numbers}
            continue
        return _Writer(root, read, module_of, order).program()


def _read(found: Folding, module_of: Callable[[fx.Node], nn.Module | None]) -> _Read:
    read = _Read(found, [], [])
    for cells in found.cells:
        reader = Reader(found, module_of)
        read.expressions.append(reader.read(cells))
        read.feeds.append(tuple(reader.feeds))
    return read


def _order(graph: fx.Graph, read: _Read) -> list[Key]:
    """All that the output needs, each after what it needs; as in the program where there is a choice."""
    place = {node: i for i, node in enumerate(graph.nodes)}

    def rank(key: Key) -> tuple[int, int]:
        return (place[read.found.cells[key.cells].calls[0]], 1) if isinstance(key, Part) else (place[key], 0)

    needs = nx.DiGraph()
    todo: list[Key] = [node for node in graph.nodes if node.op in ("placeholder", "output")]
    while todo:
        key = todo.pop()
        if key in needs and needs.nodes[key].get("done"):
            continue
        needs.add_node(key, done=True)
        for need in _needs(key, read):
            needs.add_edge(need, key)
            todo.append(need)
    loops = [part for part in nx.strongly_connected_components(needs) if len(part) > 1]
    if loops:
        raise _Apart(tuple(key.cells for part in loops for key in part if isinstance(key, Part)), LOOP)
    return list(nx.lexicographical_topological_sort(needs, key=rank))


def _needs(key: Key, read: _Read) -> list[Key]:
    found = read.found
    if isinstance(key, Part):
        needed: list[Key] = []
        for feed in read.feeds[key.cells]:
            needed += [feed] if isinstance(feed, Part) else feed.nodes if hasattr(feed, "nodes") else [feed.node]
        return needed
    if key in found.given:
        number, role, _ = found.given[key]
        return [Part(number, role)]
    if key in found.inner:
        raise _Apart((found.inner[key],), STATE)
    stacked = _stacked(key, found)
    if stacked is not None:
        return [stacked[0]]
    if key.op == "output":
        return [node for node in key.all_input_nodes if node not in found.inner]
    return list(key.all_input_nodes)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """A population as written: what describes it once all ops have their names."""

    cells: Cells
    expression: Expression
    role: Role
    arguments: tuple[fx.Node, ...]
    shape: tuple[int, ...]


def _stacked(node: fx.Node, found: Folding) -> tuple[Part, int] | None:
    """For a stack of all steps of a population in order: the population, and the axis of time."""
    if node.target is not torch.stack or not isinstance(node.args[0], (list, tuple)):
        return None
    dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
    given = [found.given.get(cast(fx.Node, x)) for x in node.args[0]]
    first = given[0] if given else None
    if first is None or given != [(*first[:2], t) for t in range(found.cells[first[0]].steps)]:
        return None
    return (Part(first[0], first[1]), dim) if isinstance(dim, int) else None


class _Writer:
    """Writes the rolled program in a given order."""

    def __init__(
        self, root: nn.Module, read: _Read, module_of: Callable[[fx.Node], nn.Module | None], order: list[Key]
    ) -> None:
        self._root, self._read, self._module_of, self._order = root, read, module_of, order
        self._graph = fx.Graph()
        self._nodes: dict[Key, fx.Node] = {}
        self._fed: dict[Feed, fx.Node] = {}
        self._targets: dict[str, Any] = {}
        self._named: dict[fx.Node, str] = {}
        self._shapes: dict[fx.Node, tuple[int, ...]] = {}
        self._made: dict[fx.Node, _Made] = {}
        self._last = self._read_out_last()

    def program(self) -> Program:
        """The program."""
        for key in self._order:
            if isinstance(key, Part):
                self._nodes[key] = self._population(key)
            elif key in self._read.found.given:
                self._nodes[key] = self._result(key)
            else:
                self._nodes[key] = self._copy(key)
        self._graph.lint()
        module = fx.GraphModule(self._targets, self._graph, type(self._root).__name__)
        names = names_of(self._graph, self._named)
        refused = self._read.found.refused
        left = {names[self._nodes[node]]: why for node, why in refused.items() if node in self._nodes}
        return Program(module, names, self._describe(names), left)

    def _describe(self, names: Mapping[fx.Node, str]) -> dict[str, Population]:
        populations: dict[str, Population] = {}
        shapes = dict(self._shapes)
        for node, made in self._made.items():
            sources = [Source(names[x], shapes[x], shapes[x] != self._shapes[x]) for x in made.arguments]
            kind = made.cells.kind
            found = describe(names[node], made.cells.cell, kind, made.expression, sources, made.role)
            populations[names[node]] = found
            shapes[node] = found.layers[-1].shape if found.layers else made.shape
        return populations

    def _read_out_last(self) -> set[Part]:
        """Potentials of which only the last step is used."""
        used: dict[Part, set[int]] = {}
        for key in self._order:
            for need in _needs(key, self._read):
                if isinstance(need, Part):
                    step = -1 if isinstance(key, Part) else self._read.found.given.get(key, (0, "", -1))[2]
                    used.setdefault(need, set()).add(step)
        cells = self._read.found.cells
        return {p for p, steps in used.items() if p.role == "potential" and steps == {cells[p.cells].steps - 1}}

    def _copy(self, node: fx.Node) -> Any:
        if node.op == "output":
            kept = _without(node.args[0], self._read.found.inner)
            return self._graph.output(fx.node.map_arg(kept, lambda n: self._nodes[n]))
        stacked = _stacked(node, self._read.found)
        if stacked is not None:
            whole = self._nodes[stacked[0]]
            rank = node.meta["value"].dim()
            time = stacked[1] % rank
            return whole if time == 1 else self._graph.call_function(torch.movedim, (whole, 1, time))
        made = self._graph.node_copy(node, lambda n: self._nodes[n])
        module = self._module_of(node)
        if node.op in ("call_module", "get_attr"):
            self._targets[str(node.target)] = node.meta["value"] if module is None else module
        kind = None if module is None else kind_of(module)
        if module is not None and kind is not None and kind.layout is Layout.BATCH_FIRST:
            cells = Cells(str(node.target), module, kind, [node])
            source = self._nodes[source_of(node)]
            self._shapes.setdefault(source, tuple(source_of(node).meta["value"].shape[2:]))
            self._note(made, cells, Leaf(0), kind.emits, (source,))
        return made

    def _note(
        self, node: fx.Node, cells: Cells, expression: Expression, role: Role, given: tuple[fx.Node, ...]
    ) -> None:
        self._shapes[node] = _result_shape(cells)
        self._made[node] = _Made(cells, expression, role, given, self._shapes[node])

    def _population(self, part: Part) -> Any:
        cells, expression = self._read.found.cells[part.cells], self._read.expressions[part.cells]
        arguments = tuple(self._feed(feed) for feed in self._read.feeds[part.cells])
        target = f"rolled_{len(self._made)}"
        self._targets[target] = Rolled(cells.cell, cells.kind, expression, part.role, part in self._last)
        node = self._graph.call_module(target, arguments)
        self._named[node] = self._name(cells, part.role)
        self._note(node, cells, expression, part.role, arguments)
        return node

    def _name(self, cells: Cells, role: Role) -> str:
        """The cell's own path; numbered from its second population on."""
        base = cells.path if role == cells.kind.emits else f"{cells.path}.{role}"
        name, number = base, 1
        while name in self._named.values():
            number += 1
            name = f"{base}#{number}"
        return name

    def _feed(self, feed: Feed) -> fx.Node:
        """The sequence [B, T, ...] that feeds a population."""
        if isinstance(feed, Part):
            return self._nodes[feed]
        if feed not in self._fed:
            self._fed[feed] = self._sequence(feed)
        return self._fed[feed]

    def _sequence(self, feed: Feed) -> Any:
        if isinstance(feed, Slices):
            node, value = self._nodes[feed.node], feed.node.meta["value"]
            shape = tuple(n for i, n in enumerate(value.shape) if i not in (feed.batch, feed.time))
            if (feed.batch, feed.time) != (0, 1):
                node = self._graph.call_function(torch.movedim, (node, (feed.batch, feed.time), (0, 1)))
                self._named[node] = f"{feed.node.name}.steps"
        elif isinstance(feed, Held):
            node, shape = self._nodes[feed.node], tuple(feed.node.meta["value"].shape[1:])
            node = self._graph.call_function(torch.unsqueeze, (node, 1))
            node = self._graph.call_method("expand", (node, -1, feed.steps, *(-1 for _ in shape)))
            self._named[node] = f"{feed.node.name}.held"
        else:
            nodes = cast(Stack, feed).nodes
            shape = tuple(nodes[0].meta["value"].shape[1:])
            node = self._graph.call_function(torch.stack, ([self._nodes[n] for n in nodes], 1))
            self._named[node] = f"{nodes[0].name}.steps"
        self._shapes[node] = shape
        return node

    def _result(self, node: fx.Node) -> Any:
        """What a node of a population is in the rolled program."""
        number, role, step = self._read.found.given[node]
        part = Part(number, role)
        made, layout = self._nodes[part], self._read.found.cells[number].kind.layout
        if part in self._last:
            return made
        if step >= 0:
            return self._graph.call_function(torch.select, (made, 1, step))
        return self._graph.call_function(torch.movedim, (made, (0, 1), layout.axes))


def names_of(graph: fx.Graph, own: Mapping[fx.Node, str]) -> dict[fx.Node, str]:
    """The dotted path of a module, numbered from its second call on; the program's own name of anything else.

    Args:
        graph: the program.
        own: names that are given already.
    """
    names: dict[fx.Node, str] = {}
    calls: Counter[str] = Counter()
    for node in graph.nodes:
        if node in own or node.op != "call_module":
            names[node] = own.get(node, node.name)
            continue
        path = str(node.target)
        calls[path] += 1
        names[node] = path if calls[path] == 1 else f"{path}#{calls[path]}"
    return names


def _result_shape(cells: Cells) -> tuple[int, ...]:
    """Of one step of one sample, as torch has it."""
    value = cells.calls[0].meta["value"]
    first: Tensor = value[0] if isinstance(value, tuple) else value
    if cells.kind.layout is Layout.STEP:
        return tuple(first.shape[1:])
    if getattr(cells.cell, "readout", False):
        return tuple(first.shape[1:])
    batch, time = (axis % first.dim() for axis in cells.kind.layout.axes)
    return tuple(n for i, n in enumerate(first.shape) if i not in (batch, time))


def _without(value: Any, inner: Mapping[fx.Node, int]) -> Any:
    """The outputs of a model without the state of its neurons; a single one by itself."""
    if not isinstance(value, (tuple, list)):
        return value
    kept = [x for x in (_without(x, inner) for x in value) if not (isinstance(x, fx.Node) and x in inner) and x != []]
    return (
        kept[0] if len(kept) == 1 and len(value) > 1 else type(value)(kept) if not hasattr(value, "_fields") else kept
    )
