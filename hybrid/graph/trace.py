"""Trace a hybrid model into typed ops, with spiking layers as leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx
import torch
from torch import Tensor, fx, nn

from hybrid.errors import BadInputError
from hybrid.graph.cost import macs_of
from hybrid.model.stm import ConvLIF
from hybrid.model.temporal import ConvLSTM


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


@dataclass(frozen=True, slots=True, eq=False)
class ModelGraph:
    """A traced model.

    Attributes:
        module: the traced program; its modules are those of the original.
        ops: op by name, in execution order.
        edges: (producer, consumer) pairs by name.
        names: op name of every node of the program.
    """

    module: fx.GraphModule
    ops: Mapping[str, Op]
    edges: tuple[tuple[str, str], ...]
    names: Mapping[fx.Node, str]

    def digraph(self) -> nx.DiGraph:
        """As a networkx graph; each node carries its `Op` under the key `op`."""
        graph = nx.DiGraph()
        graph.add_nodes_from((name, {"op": op}) for name, op in self.ops.items())
        graph.add_edges_from(self.edges)
        return graph


def trace(model: nn.Module, example: tuple[Tensor, ...]) -> ModelGraph:
    """Trace `model` on `example`, a batch whose values are representative (they give the activities).

    Raises:
        BadInputError: where the model's control flow depends on values.
    """
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    except fx.proxy.TraceError as error:
        raise BadInputError(
            type(model).__name__,
            f"the model cannot be traced: {error}",
            "take value-dependent control flow out of forward",
        ) from error
    module = fx.GraphModule(tracer.root, graph)
    names = _names(graph)
    recorder = _Recorder(module, names, example[0].shape[0])
    with torch.no_grad():
        recorder.run(*example)
    edges = tuple((names[source], names[node]) for node in graph.nodes for source in node.all_input_nodes)
    return ModelGraph(module, {op.name: op for op in recorder.ops}, edges, names)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (ConvLIF, ConvLSTM)) or super().is_leaf_module(m, module_qualified_name)


class _Recorder(fx.Interpreter):
    """Runs the program once and notes an Op for every node."""

    def __init__(self, module: fx.GraphModule, names: Mapping[fx.Node, str], batch: int) -> None:
        super().__init__(module)
        self._batch = batch
        self.ops: list[Op] = []
        self._names = names
        self._leaves = dict(module.named_modules())

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        result = super().run_node(n)
        shape = tuple(result.shape[1:]) if isinstance(result, Tensor) else ()
        target = self._leaves[str(n.target)] if n.op == "call_module" else None
        parameters = sum(p.numel() * p.element_size() for p in target.parameters()) if target else 0
        op = Op(
            name=self._names[n], kind=_kind(n, target), shape=shape, parameter_bytes=parameters,
            macs=macs_of(target if target is not None else n.target, args, kwargs, result) // self._batch,
            **_spiking(target, args, result),
        )  # fmt: skip
        self.ops.append(op)
        return result


def _spiking(target: nn.Module | None, args: tuple[Any, ...], result: Any) -> dict[str, Any]:
    if not isinstance(target, ConvLIF):
        return {}
    values: Tensor = args[0]
    places = tuple(result.shape[1:] if target.readout else result.shape[2:])
    neurons = 1
    for size in places:
        neurons *= size
    return {
        "neurons": neurons,
        "steps": values.shape[1],
        "activity": float((values != 0).float().mean()),
        "spiking": True,
        "emits_spikes": not target.readout,
    }


def _names(graph: fx.Graph) -> dict[fx.Node, str]:
    """The dotted path of a module, numbered from its second call on; the program's own name of anything else."""
    names: dict[fx.Node, str] = {}
    calls: Counter[str] = Counter()
    for node in graph.nodes:
        if node.op != "call_module":
            names[node] = node.name
            continue
        path = str(node.target)
        calls[path] += 1
        names[node] = path if calls[path] == 1 else f"{path}#{calls[path]}"
    return names


def _kind(node: fx.Node, target: nn.Module | None) -> str:
    if node.op in ("placeholder", "output"):
        return {"placeholder": "input", "output": "output"}[node.op]
    if target is not None:
        return type(target).__name__
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
