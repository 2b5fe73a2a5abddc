"""From a trained model to a bundle: trace, partition, quantise, map, export, verify."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ann_part.program import ProgramError, export_program
from hwsim import engine
from hwsim.chip import Chip
from hwsim.mapping import map_network
from hybrid.bundle import Parity, write_bundle
from hybrid.errors import HybridError, VerificationError
from hybrid.graph import ModelGraph, trace
from hybrid.model.checkpoint import Checkpoint
from hybrid.model.inputs import INPUT_NAMES, chip_values, input_ports, to_tensors
from hybrid.partition import Aim, Plan, make_plan
from hybrid.partition.artificial import effect
from hybrid.partition.extract import chip_layers, example_inputs, host_module
from hybrid.partition.measure import measure_ops
from hybrid.platform import Host, Link
from hybrid.video.transform import Views
from snn_export import reference
from snn_export.compare import first_difference
from snn_export.network import IntArray, Recording, SpikingNetwork
from snn_export.quantize import quantize

STAGES = ("trace", "partition", "quantise", "map", "export", "verify", "write")
PACKAGES = ("hybrid-snn", "torch", "numpy", "av", "nir", "h5py")


def trace_model(checkpoint: Checkpoint, calibration: Views) -> tuple[ModelGraph, dict[str, int]]:
    """Trace a model on real GOPs; the graph, and bits of a value of each graded input.

    Raises:
        BadInputError: for a model that cannot be traced.
    """
    config = checkpoint.model.config.input
    graph = trace(checkpoint.model, to_tensors(calibration, config))
    return graph, {port.name: port.bits for port in input_ports(config)}


def plan_model(
    checkpoint: Checkpoint, calibration: Views, chip: Chip, host: Host, link: Link, aim: Aim
) -> tuple[ModelGraph, Plan]:
    """Trace a model on real GOPs and partition it.

    Args:
        checkpoint: the model.
        calibration: cropped GOPs of a real clip; they give the activities.
        chip: where spiking ops may run.
        host: where everything may run.
        link: between the two.
        aim: what the plan shall be.

    Raises:
        BadInputError: for a model that cannot be traced.
        IllegalPlanError: for a pin that no target can carry out.
    """
    graph, bits = trace_model(checkpoint, calibration)
    inputs = to_tensors(calibration, checkpoint.model.config.input)
    measured = measure_ops(graph, inputs, aim.measure, len(inputs[0])) if aim.measure else None
    plan = make_plan(graph, chip, host, link, bits, aim, measured)
    return graph, replace(plan, effect=effect(graph, plan.artificial, inputs, chip))


def compile_model(
    checkpoint: Checkpoint,
    calibration: Views,
    chip: Chip,
    host: Host,
    link: Link,
    out: Path,
    *,
    aim: Aim,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> None:
    """Compile a model and write the bundle `out`.

    Args:
        checkpoint: the model.
        calibration: cropped GOPs of a real clip: activities, parity check and export example.
        chip: the chip to compile for.
        host: accounting of the ANN part.
        link: between the two.
        out: the folder to write.
        aim: what the plan shall be.
        on_stage: told each of `STAGES` as it begins.

    Raises:
        BadInputError: for a model that cannot be traced, or an `out` that is something else.
        IllegalPlanError: for a pin that no target can carry out.
        hwsim.mapping.DoesNotFit: where the spiking graph exceeds the chip.
        VerificationError: where the simulator and the reference differ.
    """
    config = checkpoint.model.config.input
    on_stage("trace")
    graph, plan = plan_model(checkpoint, calibration, chip, host, link, aim)
    on_stage("partition")
    module, host_inputs = host_module(graph, plan.on_chip)
    on_stage("quantise")
    layers = chip_layers(graph, plan.on_chip)
    used = {layer.source for layer in layers}
    network = quantize([port for port in input_ports(config) if port.name in used], layers)
    on_stage("map")
    mapping = map_network(network, chip)
    on_stage("export")
    values = dict(zip(INPUT_NAMES, to_tensors(calibration, config), strict=True))
    try:
        program = export_program(module, example_inputs(graph, host_inputs, values))
    except ProgramError as error:
        raise HybridError("the ANN part", str(error), "change the model to use plain torch operators") from error
    on_stage("verify")
    parity = check_parity(network, chip_values(network, calibration))
    on_stage("write")
    placed = {placement.op: placement.target for placement in plan.placements}
    manifest = {
        "model": checkpoint.model.config, "chip": chip, "host": host, "link": link, "plan": plan_record(graph, plan),
        "host_inputs": host_inputs, "parity": parity,
        "host_macs": sum(op.macs for op in graph.ops.values() if placed[op.name] == "host"),
        "host_weight_bytes": sum(t.numel() * t.element_size() for t in program.tensors.values()),
        "source": {"sha256": checkpoint.sha256, **checkpoint.notes},
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }  # fmt: skip
    write_bundle(out, network, mapping, program, manifest)


def plan_record(graph: ModelGraph, plan: Plan) -> dict[str, Any]:
    """The plan as plain data, as manifests and reports hold it."""
    record = asdict(plan)
    return {
        "coverage": plan.coverage(graph), "ops": record["placements"], "crossings": record["crossings"],
        "predicted_j_per_gop": plan.energy_j, "predicted_s_per_gop": plan.latency_s, "cores": plan.cores,
        "baselines_j_per_gop": plan.baselines, "front": record["front"], "effect": record["effect"],
    }  # fmt: skip


def recording_hash(recording: Recording) -> str:
    """Hash of every spike and potential, layer by layer."""
    digest = hashlib.sha256()
    for arrays in (recording.spikes, recording.potentials):
        for name in sorted(arrays):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def check_parity(network: SpikingNetwork, inputs: Mapping[str, IntArray]) -> Parity:
    """Evidence that the simulator equals the reference on the first GOP of `inputs`.

    Raises:
        VerificationError: at the first bit that differs.
    """
    first = {name: values[:1] for name, values in inputs.items()}
    truth = reference.run(network, first)
    with torch.no_grad():
        simulated = engine.run(network, first).recording
    difference = first_difference(network, truth, simulated)
    if difference is not None:
        raise VerificationError("hwsim", f"it differs from the reference at {difference}", "report this as a bug")
    return Parity(backends=("hwsim",), gops=1, sha256=recording_hash(truth))
