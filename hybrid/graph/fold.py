"""Find the populations in a program that runs one time step after the other.

All calls of a cell that hand its state on are one population. What feeds it in step t must be the same operation
in every step, on the t-th slice of a sequence, on a value that is the same in all steps, or on another population.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, fx, nn

from hybrid.graph.cells import Kind, Layout, Role, kind_of
from hybrid.graph.expression import Apply, Expression, Leaf, Sum
from hybrid.graph.synapses import flatten, is_sum, linear_step, source_of


@dataclass(frozen=True, slots=True)
class Slices:
    """A sequence of the program, with its axes."""

    node: fx.Node
    batch: int
    time: int


@dataclass(frozen=True, slots=True)
class Held:
    """A value that is the same in all steps."""

    node: fx.Node
    steps: int


@dataclass(frozen=True, slots=True)
class Stack:
    """A value for each step."""

    nodes: tuple[fx.Node, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What a population gives: number of the population, and what of it."""

    cells: int
    role: Role


Feed: TypeAlias = Slices | Held | Stack | Part


@dataclass(slots=True, eq=False)
class Cells:
    """The calls of one cell that are one population.

    Attributes:
        path: of the cell in the model.
        cell: the module.
        kind: of the cell.
        calls: in the order of time; one for a cell that takes sequences.
        steps: time steps.
    """

    path: str
    cell: nn.Module
    kind: Kind
    calls: list[fx.Node]
    steps: int = 0


@dataclass(slots=True, eq=False)
class Folding:
    """The populations of a program.

    Attributes:
        cells: of each population.
        given: for each node that is a result of a population: number, role, and step (-1 for all steps).
        inner: nodes that only carry state from call to call, with the number of their population.
        refused: why a call of a cell belongs to no population.
    """

    cells: list[Cells] = field(default_factory=list)
    given: dict[fx.Node, tuple[int, Role, int]] = field(default_factory=dict)
    inner: dict[fx.Node, int] = field(default_factory=dict)
    refused: dict[fx.Node, str] = field(default_factory=dict)


def find_cells(
    graph: fx.Graph, module_of: Callable[[fx.Node], nn.Module | None], apart: Mapping[fx.Node, str]
) -> Folding:
    """All populations, but for the cells whose first call is in `apart`: why they are left as they are."""
    found = Folding(refused=dict(apart))
    owner: dict[fx.Node, int] = {}
    for node in graph.nodes:
        module = module_of(node)
        kind = None if module is None else kind_of(module)
        if module is None or kind is None or kind.layout is Layout.BATCH_FIRST:
            continue
        before = _last_call(node, kind)
        if node in apart or before in found.refused:
            found.refused.setdefault(node, found.refused.get(before, "") if before else "")
        elif before is None and not _begins(node):
            found.refused[node] = "its state comes from elsewhere than its own last call, and is not 0"
        elif before is None:
            owner[node] = len(found.cells)
            found.cells.append(Cells(str(node.target), module, kind, [node]))
        else:
            owner[node] = owner[before]
            found.cells[owner[node]].calls.append(node)
    for number, cells in enumerate(found.cells):
        _note_results(found, number, cells)
    return found


def _note_results(found: Folding, number: int, cells: Cells) -> None:
    step_by_step = cells.kind.layout is Layout.STEP
    sequence = source_of(cells.calls[0]).meta["value"].shape
    cells.steps = len(cells.calls) if step_by_step else sequence[cells.kind.layout.axes[1]]
    for t, call in enumerate(cells.calls):
        step = t if step_by_step else -1
        if isinstance(call.meta["value"], Tensor):
            found.given[call] = (number, cells.kind.emits, step)
            continue
        found.inner[call] = number
        for user in call.users:
            index = user.args[1] if user.target is operator.getitem else None
            if index == 0:
                found.given[user] = (number, cells.kind.emits, step)
            elif index is not None and index == cells.kind.potential:
                found.given[user] = (number, "potential", step)
            else:
                found.inner[user] = number
                for reader in user.users:
                    if reader.target is getattr and reader.args[1] == "v" and step_by_step:
                        found.given[reader] = (number, "potential", step)


def _last_call(node: fx.Node, kind: Kind) -> fx.Node | None:
    """The call whose state this one takes."""
    states = _states(node)
    if not states:
        return node.meta.get("goes_on")
    for i, state in enumerate(states):
        if not (isinstance(state, fx.Node) and state.target is operator.getitem and state.args[1] == i + 1):
            return None
    callers = {state.args[0] for state in states}
    before = callers.pop()
    same = not callers and before.op == "call_module" and before.target == node.target
    return before if same and kind.layout is Layout.STEP else None


def _states(node: fx.Node) -> list[Any]:
    return [x for x in (*node.args[1:], *node.kwargs.values()) if x is not None]


def _begins(node: fx.Node) -> bool:
    return all(_is_zero(state) for state in _states(node))


def _is_zero(value: Any) -> bool:
    """Whether a state is 0 for every input, not for the example only."""
    if isinstance(value, (tuple, list)):
        return all(map(_is_zero, value))
    if not isinstance(value, fx.Node):
        return bool(value == 0)
    if isinstance(value.target, type) and issubclass(value.target, tuple):
        return all(map(_is_zero, value.args))
    return bool(value.meta.get("zero", False))


class Reader:
    """Reads what feeds a population."""

    def __init__(self, found: Folding, module_of: Callable[[fx.Node], nn.Module | None]) -> None:
        self._found, self._module_of = found, module_of
        self.feeds: dict[Feed, int] = {}

    def read(self, cells: Cells) -> Expression:
        """The expression of a population; its sources are then in `feeds`, in order."""
        if cells.kind.layout is not Layout.STEP:
            batch, time = cells.kind.layout.axes
            return self.sequence(Slices(source_of(cells.calls[0]), batch, time))
        return self._family(tuple(source_of(call) for call in cells.calls))

    def sequence(self, feed: Slices) -> Expression:
        """What gives a whole sequence."""
        node = feed.node
        rank = node.meta["value"].dim()
        time = feed.time % rank
        number = self._found.given.get(node)
        if number is not None and number[2] == -1:
            batch_first, time_axis = self._found.cells[number[0]].kind.layout.axes
            if (feed.batch % rank, time) == (batch_first % rank, time_axis % rank):
                return self._leaf(Part(number[0], number[1]))
        if node.target is torch.stack and isinstance(node.args[0], (list, tuple)):
            dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
            if isinstance(dim, int) and dim % rank == time:
                return self._family(cast(tuple[fx.Node, ...], tuple(node.args[0])))
        swapped = _swapped(node, rank)
        if swapped is not None:
            axes = [swapped.get(axis % rank, axis % rank) for axis in (feed.batch, time)]
            return self.sequence(Slices(source_of(node), *axes))
        if _flattens_steps(node, self._module_of(node), feed.batch % rank, time):
            before = source_of(node).meta["value"].dim()
            return Apply(
                flatten(), self.sequence(Slices(source_of(node), feed.batch, time if time < 2 else before - 1))
            )
        return self._leaf(Slices(node, feed.batch % rank, time))

    def _family(self, nodes: tuple[fx.Node, ...]) -> Expression:
        part = self._part(nodes)
        if part is not None:
            return self._leaf(part)
        sequence = _slices(nodes)
        if sequence is not None:
            return self.sequence(sequence)
        steps = [step for node in nodes if (step := linear_step(node, self._module_of(node))) is not None]
        if len(steps) == len(nodes) and _same_operation(nodes):
            return Apply(steps[0][0], self._family(tuple(source for _, source in steps)))
        sums = [pair for node in nodes if (pair := is_sum(node)) is not None]
        if len(sums) == len(nodes):
            return Sum(*(self._family(tuple(side)) for side in zip(*sums, strict=True)))
        if len(set(nodes)) == 1 and len(nodes) > 1:
            return self._leaf(Held(nodes[0], len(nodes)))
        return self._leaf(Stack(nodes))

    def _part(self, nodes: Sequence[fx.Node]) -> Part | None:
        given = [self._found.given.get(node) for node in nodes]
        first = given[0]
        if first is None or given != [(first[0], first[1], t) for t in range(self._found.cells[first[0]].steps)]:
            return None
        return Part(first[0], first[1])

    def _leaf(self, feed: Feed) -> Leaf:
        return Leaf(self.feeds.setdefault(feed, len(self.feeds)))


def _flattens_steps(node: fx.Node, module: nn.Module | None, batch: int, time: int) -> bool:
    """Whether it puts the values of each step in a row, whatever it is written with."""
    written = type(module) is nn.Flatten or node.target in ("reshape", "view", "flatten", torch.reshape, torch.flatten)
    if not written or not node.all_input_nodes:
        return False
    before, after = source_of(node).meta["value"].shape, node.meta["value"].shape
    if len(after) != 3 or len(before) < 3 or batch > 1:
        return False
    if time == len(after) - 1:
        return bool(before[0] == after[0] and before[-1] == after[-1])
    return bool(time < 2 and before[:2] == after[:2])


def _same_operation(nodes: Sequence[fx.Node]) -> bool:
    def fixed(node: fx.Node) -> Any:
        args = fx.node.map_arg((node.args, node.kwargs), lambda n: None)
        return node.op, node.target, repr(args)

    return len({fixed(node) for node in nodes}) == 1


def _slices(nodes: Sequence[fx.Node]) -> Slices | None:
    """The sequence whose steps these are, in order."""
    found = [_slice(node) for node in nodes]
    first = found[0]
    if first is None or found != [(first[0], first[1], t) for t in range(len(nodes))]:
        return None
    if first[0].meta["value"].shape[first[1]] != len(nodes):
        return None
    return Slices(first[0], 1 if first[1] == 0 else 0, first[1])


def _slice(node: fx.Node) -> tuple[fx.Node, int, int] | None:
    """What a node is a slice of, along which axis, and its place there."""
    if len(node.args) < 2 or not isinstance(node.args[0], fx.Node):
        return None
    source = node.args[0]
    if node.target in ("select", torch.select) and len(node.args) == 3:
        return _place(source, node.args[1], node.args[2])
    if node.target is not operator.getitem:
        return None
    if source.target in ("unbind", torch.unbind):
        axis = source.args[1] if len(source.args) > 1 else source.kwargs.get("dim", 0)
        return _place(source.args[0], axis, node.args[1])
    key = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
    places = [i for i, k in enumerate(key) if not (isinstance(k, slice) and k == slice(None)) and k is not ...]
    if len(places) != 1 or not isinstance(source.meta["value"], Tensor):
        return None
    axis = places[0] if ... not in key[: places[0]] else places[0] - len(key)
    return _place(source, axis, key[places[0]])


def _place(source: Any, axis: Any, index: Any) -> tuple[fx.Node, int, int] | None:
    whole = isinstance(axis, int) and isinstance(index, int) and isinstance(source, fx.Node)
    if not whole or not isinstance(source.meta["value"], Tensor):
        return None
    shape = source.meta["value"].shape
    return source, axis % len(shape), index % shape[axis]


def _swapped(node: fx.Node, rank: int) -> dict[int, int] | None:
    """For a transposition, where each axis of the result comes from."""
    given = [list(x) if isinstance(x, (list, tuple)) else [x] for x in node.args[1:]]
    axes = [x % rank for row in given for x in row if isinstance(x, int)]
    if len(axes) != sum(map(len, given)):
        return None
    if node.target in ("transpose", "swapaxes", torch.transpose, torch.swapaxes) and len(axes) == 2:
        return {axes[0]: axes[1], axes[1]: axes[0]}
    return dict(enumerate(axes)) if node.target in ("permute", torch.permute) else None
