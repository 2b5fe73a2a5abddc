"""Cut the traced model along a plan: float layers for the chip, a module for the host."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import fx, nn

from hybrid.errors import IllegalPlanError
from hybrid.graph import ModelGraph
from hybrid.model.stm import ConvLIF
from snn_export.network import REAL, Arithmetic, InputPort, Reset, SpikingNetwork
from snn_export.quantize import FloatConvLIF


def chip_layers(graph: ModelGraph, on_chip: Sequence[str]) -> tuple[FloatConvLIF, ...]:
    """The ops on the chip as float layers in topological order; weights act on the potential directly.

    Raises:
        IllegalPlanError: where the plan leaves the chip without work.
    """
    if not on_chip:
        raise IllegalPlanError(
            "plan",
            "no op runs on the chip",
            "pin the spiking layers to it: --pin stm_motion --pin stm_residual",
        )
    producers = {consumer: producer for producer, consumer in graph.edges}
    modules = dict(graph.module.named_modules())
    layers = []
    for name in on_chip:
        layer = modules[name.partition("#")[0]]  # a module's second call is another population
        if not isinstance(layer, ConvLIF):
            raise TypeError(f"{name} is a {type(layer).__name__}, which no rule lets on the chip")
        keep = float(layer.keep)
        conv = layer.conv
        source = producers[name]
        weight = conv.weight[:, : graph.ops[source].shape[1]].detach().double().numpy() * (1 - keep)
        layers.append(
            FloatConvLIF(
                name=name, source=source, weight=np.asarray(weight), stride=_pair(conv.stride),
                padding=_pair(conv.padding), dilation=_pair(conv.dilation), groups=conv.groups, keep=keep,
                vth=float(layer.threshold), reset=Reset(layer.reset), readout=layer.readout,
            )
        )  # fmt: skip
    return tuple(layers)


def chip_network(graph: ModelGraph, on_chip: Sequence[str]) -> SpikingNetwork:
    """The ops on the chip as a network; its ports are the ops that feed them.

    It is a float network whose ports take real numbers, or, of layers that compute with integers already, one of
    integers whose ports take spikes.

    Raises:
        IllegalPlanError: where the plan leaves the chip without work, or mixes the two kinds of layers.
    """
    if not on_chip:
        legal = [name for name, op in graph.ops.items() if op.spiking and not graph.populations[name].refusals]
        fix = f"pin what shall run there: {' '.join(f'--pin {name}' for name in legal)}, or --pin '*'"
        raise IllegalPlanError("plan", "no op runs on the chip", fix if legal else "see --explain for the reasons")
    layers = [layer for name in on_chip for layer in graph.populations[name].layers]
    inside = {layer.name for layer in layers}
    fed = {c.source: c for layer in layers for c in layer.connections if c.source not in inside}
    fixed = {name: graph.populations[name].fixed for name in on_chip}
    if len(set(fixed.values())) > 1:
        quantised = ", ".join(name for name, done in fixed.items() if done)
        what = f"{quantised} are quantised already, and the other layers are not"
        raise IllegalPlanError("plan", what, "pin layers of one kind to the chip")
    bits, arithmetic = (1, Arithmetic.FIXED) if all(fixed.values()) else (REAL, Arithmetic.FLOAT)
    ports = [
        graph.ports.get(name) or InputPort(name, graph.ops[name].shape[1:], bits) for name in graph.ops if name in fed
    ]
    return SpikingNetwork(tuple(ports), tuple(layers), arithmetic)


def delays(graph: ModelGraph, on_chip: Sequence[str]) -> dict[str, int]:
    """Steps by which the model has the results of each op on the chip later than the chip gives them."""
    found: dict[str, int] = {}
    for name in on_chip:
        before = [found[source] for source, consumer in graph.edges if consumer == name and source in found]
        found[name] = max(before, default=0) + graph.populations[name].late
    return found


def host_module(graph: ModelGraph, on_chip: Collection[str]) -> tuple[nn.Module, tuple[str, ...]]:
    """The host's ops as a module, and the names of its inputs in order.

    The inputs are the model's inputs that the host itself uses, then the values that come from the chip.
    """
    (output,) = (node for node in graph.module.graph.nodes if node.op == "output")
    return _part(graph, [output], on_chip)


def feed_module(graph: ModelGraph, names: Sequence[str]) -> tuple[nn.Module, tuple[str, ...]]:
    """What the host computes for the chip: a module that gives the values of the ops `names`, and its inputs."""
    nodes = {graph.names[node]: node for node in graph.module.graph.nodes}
    return _part(graph, [nodes[name] for name in names], ())


def _part(graph: ModelGraph, ends: Sequence[fx.Node], given: Collection[str]) -> tuple[nn.Module, tuple[str, ...]]:
    """The part of the program that computes `ends` from the model's inputs and the ops `given`."""
    part, copied, needed = fx.Graph(), {}, set(ends)
    for node in reversed(graph.module.graph.nodes):
        if node in needed and graph.names[node] not in given:
            needed.update(node.all_input_nodes)
    inputs = []
    for node in graph.module.graph.nodes:
        name = graph.names[node]
        if node in needed and (node.op == "placeholder" or name in given):
            copied[node] = part.placeholder(re.sub(r"\W", "_", name))
            inputs.append(name)
        elif node in needed:
            copied[node] = part.node_copy(node, lambda n: copied[n])
    if ends[0].op != "output":
        part.output(tuple(copied[node] for node in ends))
    part.lint()
    module: nn.Module = fx.GraphModule(graph.module, part)
    return module.eval(), tuple(inputs)


def _pair(value: object) -> tuple[int, int]:
    if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, int) for v in value)):
        raise TypeError(f"{value!r} is no pair of integers")
    return value[0], value[1]


def example_inputs(
    graph: ModelGraph, names: tuple[str, ...], model_inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, ...]:
    """Values for the host module's inputs: the model's own, or zeros in the shape of what the chip sends."""
    batch = next(iter(model_inputs.values())).shape[0]
    return tuple(
        model_inputs[name] if name in model_inputs else torch.zeros(batch, *graph.ops[name].shape) for name in names
    )
