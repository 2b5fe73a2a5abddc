"""Trace a hybrid model into typed ops, with spiking layers as leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx
import torch
from torch import Tensor, fx, nn

from hybrid.errors import HybridError
from hybrid.graph.cells import Layout, kind_of
from hybrid.graph.cost import macs_of
from hybrid.graph.network import NetworkLayer, network_program
from hybrid.graph.population import Population
from hybrid.graph.roll import roll
from hybrid.graph.rolled import Rolled
from hybrid.graph.tracer import trace_program
from snn_export.network import InputPort, SpikingNetwork

TOLERANCE = 1e-5
"""Largest difference, against the largest value, between a model and its rolled program on the example."""


@dataclass(frozen=True, slots=True)
class Op:
    """One node of the graph, for one sample (a GOP).

    Attributes:
        name: unique; for a module its dotted path.
        kind: `input`, `output`, `ConvLIF`, or the class or function that computes it.
        shape: of the result without the batch dimension; () where it is no single tensor.
        parameter_bytes: size of its parameters as they are.
        macs: multiply-accumulates of a dense execution.
        neurons: neurons of a spiking layer, else 0.
        steps: time steps of a spiking layer, else 0.
        activity: share of nonzero values in the input of a spiking layer, measured on the example, else 1.
        spiking: whether a chip could run it.
        emits_spikes: whether its result is binary.
        feeds: the host computes it from the inputs alone, and the chip may take it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameter_bytes: int
    macs: int
    neurons: int = 0
    steps: int = 0
    activity: float = 1.0
    spiking: bool = False
    emits_spikes: bool = False
    feeds: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ModelGraph:
    """A traced model.

    Attributes:
        module: the traced program; its modules are those of the original.
        ops: op by name, in execution order.
        edges: (producer, consumer) pairs by name.
        names: op name of every node of the program.
        populations: each spiking op in terms of the contract, or why it cannot be said.
        refused: why a spiking cell is no spiking op, by op name.
        ports: of a network from a file, its ports by name.
    """

    module: fx.GraphModule
    ops: Mapping[str, Op]
    edges: tuple[tuple[str, str], ...]
    names: Mapping[fx.Node, str]
    populations: Mapping[str, Population] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, InputPort] = field(default_factory=dict)

    def digraph(self) -> nx.DiGraph:
        """As a networkx graph; each node carries its `Op` under the key `op`."""
        graph = nx.DiGraph()
        graph.add_nodes_from((name, {"op": op}) for name, op in self.ops.items())
        graph.add_edges_from(self.edges)
        return graph


def trace(
    model: nn.Module, example: tuple[Tensor, ...], *, batch_axes: Sequence[int] = (), feeds: bool = False
) -> ModelGraph:
    """Trace `model` on `example`, a batch whose values are representative (they give the activities).

    Args:
        model: in evaluation mode.
        example: its inputs.
        batch_axes: where each input has its batch; axis 0 without it.
        feeds: whether what the host computes from the inputs may be fed to the chip.

    Raises:
        BadInputError: with file and line, where the model fails, or its control flow depends on values.
        HybridError: where the rolled program does not give what the model gives.
    """
    graph, output = trace_program(model, example)
    program = roll(model, graph)
    axes = tuple(batch_axes) or (0,) * len(example)
    recorder = _Recorder(program.module, program.names, axes, example[0].shape[axes[0]])
    with torch.no_grad():
        found = recorder.run(*example)
    if recorder.rolled:
        _check_same(type(model).__name__, output, found)
    names, edges = program.names, _edges(program.module, program.names)
    ops = {op.name: op for op in recorder.ops}
    if feeds:
        ops |= {name: replace(ops[name], feeds=True) for name in _feeding(ops, edges)}
    return ModelGraph(program.module, ops, edges, names, program.populations, program.refused)


def trace_network(network: SpikingNetwork, values: Mapping[str, Tensor]) -> ModelGraph:
    """The graph of a network from a file, all of whose layers spike.

    Args:
        network: of either arithmetic.
        values: of each port, [B, T, *shape], as it takes them.
    """
    module, names, populations = network_program(network)
    inputs = [values[port.name] for port in network.inputs]
    recorder = _Recorder(module, names, [0] * len(inputs), inputs[0].shape[0])
    with torch.no_grad():
        recorder.run(*inputs)
    ops = {op.name: op for op in recorder.ops}
    ports = {port.name: port for port in network.inputs}
    return ModelGraph(module, ops, _edges(module, names), names, populations, ports=ports)


def _edges(module: fx.GraphModule, names: Mapping[fx.Node, str]) -> tuple[tuple[str, str], ...]:
    return tuple((names[source], names[node]) for node in module.graph.nodes for source in node.all_input_nodes)


def _feeding(ops: Mapping[str, Op], edges: Sequence[tuple[str, str]]) -> set[str]:
    """Ops of the host that feed a spiking op and have none before them."""
    graph = nx.DiGraph(edges)
    taken = {source for source, consumer in edges if ops[consumer].spiking}
    return {
        name
        for name in taken
        if ops[name].kind != "input" and not any(ops[before].spiking for before in (name, *nx.ancestors(graph, name)))
    }


def _check_same(name: str, output: Any, found: Any) -> None:
    """Compare the tensors of two results; those of the neurons' state, which the second has not, are left out."""
    wanted, given = _tensors(output), _tensors(found)
    for tensor in given:
        close = [x for x in wanted if x.shape == tensor.shape]
        scale = max((float(x.abs().max()) for x in close if x.numel()), default=1.0)
        if not any(torch.allclose(x.float(), tensor.float(), rtol=0, atol=TOLERANCE * max(scale, 1e-6)) for x in close):
            raise HybridError(
                name, "rolled up, the model does not give what it gives step by step", "report this as a bug"
            )


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [x for item in value for x in _tensors(item)] if isinstance(value, (tuple, list)) else []


class _Recorder(fx.Interpreter):
    """Notes an Op for every node; a program in which nothing was rolled is not run again for it."""

    def __init__(self, module: fx.GraphModule, names: Mapping[fx.Node, str], axes: Sequence[int], batch: int) -> None:
        super().__init__(module)
        self._batch, self._axes = batch, list(axes)
        self.ops: list[Op] = []
        self._names = names
        self._leaves = dict(module.named_modules())
        self.rolled = any(isinstance(leaf, (Rolled, NetworkLayer)) for leaf in self._leaves.values())

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        result = super().run_node(n) if self.rolled or n.op == "output" else n.meta["value"]
        axis = self._axes.pop(0) if n.op == "placeholder" else 0
        shape = tuple(size for i, size in enumerate(result.shape) if i != axis) if isinstance(result, Tensor) else ()
        target = self._leaves[str(n.target)] if n.op == "call_module" else None
        parameters = sum(p.numel() * p.element_size() for p in target.parameters()) if target else 0
        op = Op(
            name=self._names[n], kind=_kind(n, target), shape=shape, parameter_bytes=parameters,
            macs=macs_of(target if target is not None else n.target, args, kwargs, result) // self._batch,
            **_spiking(n, target, args, result),
        )  # fmt: skip
        self.ops.append(op)
        return result


def _emits(target: nn.Module | None) -> tuple[bool, bool] | None:
    """Of a spiking op: whether it gives spikes, and whether it gives all steps. None for any other."""
    if isinstance(target, Rolled):
        return target.role == "spikes", not target.last
    if isinstance(target, NetworkLayer):
        return target.emits_spikes, True
    kind = None if target is None else kind_of(target)
    if kind is None or kind.layout is not Layout.BATCH_FIRST:
        return None
    emits = not getattr(target, "readout", False)
    return emits, emits


def _spiking(node: fx.Node, target: nn.Module | None, args: tuple[Any, ...], result: Any) -> dict[str, Any]:
    found = _emits(target)
    if found is None:
        return {}
    emits, by_step = found
    values = [x for x in args if isinstance(x, Tensor)]
    return {
        "neurons": math.prod(result.shape[2:] if by_step else result.shape[1:]),
        "steps": values[0].shape[1],
        "activity": node.meta["activity"] if "activity" in node.meta else _activity(values),
        "spiking": True,
        "emits_spikes": emits,
    }


def _activity(values: Sequence[Tensor]) -> float:
    return sum(float((x != 0).float().mean()) for x in values) / len(values)


def _kind(node: fx.Node, target: nn.Module | None) -> str:
    if node.op in ("placeholder", "output"):
        return {"placeholder": "input", "output": "output"}[node.op]
    if isinstance(target, Rolled):
        return target.kind.name
    if isinstance(target, NetworkLayer):
        return "LIF" if target.emits_spikes else "read-out"
    if target is not None:
        return type(target).__name__
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
