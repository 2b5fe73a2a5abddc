"""From a user's model to a bundle: trace, partition, quantise, map, export, verify."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from ann_part.program import Program, ProgramError, export_program
from hwsim.chip import Chip
from hwsim.mapping import map_network
from hybrid.bundle import write_bundle
from hybrid.compile import PACKAGES, check_parity, plan_record
from hybrid.errors import HybridError, VerificationError
from hybrid.graph import ModelGraph, trace, trace_network
from hybrid.graph.tracer import forget
from hybrid.partition import Aim, Plan, make_plan
from hybrid.partition.artificial import effect
from hybrid.partition.extract import chip_network, delays, feed_module, host_module
from hybrid.partition.measure import measure_ops
from hybrid.platform import Host, Link
from hybrid.runtime.simulate import CALIBRATED_BITS, to_integer_network
from hybrid.user.boundary import as_result, port_array
from hybrid.user.inputs import ModelInput, together
from hybrid.user.model import UserModel
from snn_export import reference
from snn_export.network import SpikingNetwork

STAGES = ("trace", "partition", "quantise", "map", "export", "verify", "write")
EXAMPLES = 2
"""Samples that a program is exported with."""
FLIPPED_LIMIT = 1e-3
"""Share of spikes that rounding may turn over between a model and its float network."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A user's model, ready to be partitioned.

    Attributes:
        name: what it was made from.
        model: in evaluation mode; or a network from a file.
        inputs: of its forward.
        values: calibration inputs by name.
        notes: where the weights and the values come from.
    """

    name: str
    model: nn.Module | SpikingNetwork
    inputs: tuple[ModelInput, ...]
    values: Mapping[str, Tensor]
    notes: Mapping[str, str]


def trace_user(job: Job) -> tuple[ModelGraph, dict[str, int]]:
    """Trace the model on its calibration inputs; the graph, and bits of a value of each port that is no spikes.

    Raises:
        BadInputError: for a model that cannot be traced.
    """
    given = _given(job)
    if isinstance(job.model, SpikingNetwork):
        graph = trace_network(job.model, given)
    else:
        axes = [x.batch_axis for x in job.inputs]
        graph = trace(job.model, tuple(given[x.name] for x in job.inputs), batch_axes=axes, feeds=True)
    return graph, {name: CALIBRATED_BITS for name, op in graph.ops.items() if op.kind == "input" or op.feeds}


def plan_user(job: Job, chip: Chip, host: Host, link: Link, aim: Aim) -> tuple[ModelGraph, Plan]:
    """Trace the model on its calibration inputs and partition it.

    Raises:
        BadInputError: for a model that cannot be traced.
        IllegalPlanError: for a pin that no target can carry out.
    """
    graph, bits = trace_user(job)
    given = _given(job)
    inputs = [given[x.name] for x in job.inputs]
    batch = inputs[0].shape[job.inputs[0].batch_axis]
    measured = measure_ops(graph, inputs, aim.measure, batch) if aim.measure else None
    plan = make_plan(graph, chip, host, link, bits, aim, measured)
    return graph, replace(plan, effect=effect(graph, plan.artificial, inputs, chip))


def compile_user(
    job: Job,
    chip: Chip,
    host: Host,
    link: Link,
    out: Path,
    *,
    aim: Aim,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> None:
    """Compile a user's model and write the bundle `out`.

    Raises:
        BadInputError: for a model that cannot be traced, or an `out` that is something else.
        IllegalPlanError: for a pin that no target can carry out, or a plan that leaves the chip without work.
        hwsim.mapping.DoesNotFit: where the spiking graph exceeds the chip.
        VerificationError: where the simulator and the reference differ, or the float network and the model.
    """
    on_stage("trace")
    graph, plan = plan_user(job, chip, host, link, aim)
    on_stage("partition")
    float_network = chip_network(graph, plan.on_chip)
    module, host_inputs = host_module(graph, plan.on_chip)
    fed = tuple(port.name for port in float_network.inputs if graph.ops[port.name].kind != "input")
    feed, feed_inputs = feed_module(graph, fed) if fed else (None, ())
    on_stage("quantise")
    known = values_of(graph, job)
    ports = {port.name: port_array(port, known[port.name]) for port in float_network.inputs}
    network, integers, notes = to_integer_network(float_network, ports)
    on_stage("map")
    mapping = map_network(network, chip)
    on_stage("export")
    given = together(job.values, job.inputs, EXAMPLES)
    axes = {x.name: x.batch_axis for x in job.inputs}
    examples = {name: value[:EXAMPLES] for name, value in known.items()} | given
    program = _export(module, host_inputs, examples, axes)
    feed_program = None if feed is None else _export(feed, feed_inputs, examples, axes)
    on_stage("verify")
    parity = check_parity(network, integers)
    crossing = tuple(name for name in host_inputs if name in plan.on_chip)
    late = {name: steps for name, steps in delays(graph, plan.on_chip).items() if name in crossing and steps}
    flipped = _flipped(graph, float_network, ports, known, {name: late.get(name, 0) for name in crossing})
    on_stage("write")
    described = UserModel(
        name=job.name, inputs=job.inputs, fed=fed, feed_inputs=feed_inputs, outputs=_outputs(graph),
        shapes={name: graph.ops[name].shape for name in crossing}, delays=late, flipped=flipped,
    )  # fmt: skip
    placed = {placement.op: placement.target for placement in plan.placements}
    manifest = {
        "model": described, "chip": chip, "host": host, "link": link, "plan": plan_record(graph, plan),
        "host_inputs": host_inputs, "parity": parity,
        "host_macs": sum(op.macs for op in graph.ops.values() if placed[op.name] == "host"),
        "host_weight_bytes": sum(t.numel() * t.element_size() for t in program.tensors.values()),
        "source": {**job.notes, "quantisation": "; ".join(notes)},
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }  # fmt: skip
    write_bundle(out, network, mapping, program, manifest, feed=feed_program)


def _given(job: Job) -> dict[str, Tensor]:
    """All calibration inputs, at least as many as a program is exported with."""
    first = job.inputs[0]
    return together(job.values, job.inputs, max(EXAMPLES, job.values[first.name].shape[first.batch_axis]))


def values_of(graph: ModelGraph, job: Job) -> dict[str, Tensor]:
    """The value of every op on the calibration inputs, where it is a tensor."""
    known: dict[str, Tensor] = {}

    class Keep(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            if isinstance(result, Tensor):
                known[graph.names[n]] = result
            return result

    given = _given(job)
    with torch.no_grad():
        Keep(graph.module).run(*(given[x.name] for x in job.inputs))
    return known


def _export(
    module: nn.Module, names: Sequence[str], examples: Mapping[str, Tensor], axes: Mapping[str, int]
) -> Program:
    forget(module)
    # two populations may share a cell, and an exporter takes no module twice
    module = copy.deepcopy(module)
    for name, child in module.named_children():
        setattr(module, name, copy.deepcopy(child))
    try:
        with torch.no_grad():
            return export_program(
                module, tuple(examples[name] for name in names), batch_axes=[axes.get(name, 0) for name in names]
            )
    except Exception as error:  # what torch raises here has no common class
        known = isinstance(error, ProgramError)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        fix = "use plain torch operators, and take the batch size from the input's shape"
        raise HybridError("the host's part", f"it cannot be exported: {error if known else first}", fix) from error


def _flipped(
    graph: ModelGraph,
    network: SpikingNetwork,
    ports: Mapping[str, Any],
    known: Mapping[str, Tensor],
    crossing: Mapping[str, int],
) -> float:
    """How much of what the chip gives differs between the model and its float network, on the first sample."""
    found = reference.run(network, {name: values[:1] for name, values in ports.items()})
    worst = 0.0
    for name, late in crossing.items():
        wanted = known[name][:1].numpy()
        given = as_result(network, found, name, graph.ops[name].shape, late).numpy()
        tolerance = 0.5 if graph.ops[name].emits_spikes else 1e-4 * max(float(np.abs(wanted).max()), 1e-6)
        worst = max(worst, float((np.abs(given - wanted) > tolerance).mean()))
    if worst > FLIPPED_LIMIT:
        what = f"{worst:.2%} of the values of the chip's part differ between the model and its float network"
        raise VerificationError("the chip's part", what, "report this as a bug")
    return worst


def _outputs(graph: ModelGraph) -> int:
    (output,) = (node for node in graph.module.graph.nodes if node.op == "output")
    return len(output.args[0]) if isinstance(output.args[0], (tuple, list)) else 1
