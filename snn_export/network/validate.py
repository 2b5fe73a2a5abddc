"""What makes a network valid: each check raises a NetworkError that names the place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from snn_export.network.contract import (
    ACCUMULATOR_LIMIT,
    DECAY_BITS,
    GRADED_BITS_LIMIT,
    REAL,
    STATE_LIMIT,
    THRESHOLD_LIMIT,
    IntArray,
    NetworkError,
)
from snn_export.network.interval import Interval, accumulator_interval
from snn_export.network.synapse import Conv2d, Sparse, SumPool2d

if TYPE_CHECKING:
    from snn_export.network.graph import Connection, InputPort, Layer, SpikingNetwork

Shape = tuple[int, ...]
Limits = Mapping[str, tuple[float, float]]

FIXED_LIMITS: Limits = {
    "keep": (0, 2**DECAY_BITS),
    "vth": (0, THRESHOLD_LIMIT - 1),
    "bias": (-STATE_LIMIT, STATE_LIMIT),
}
FLOAT_LIMITS: Limits = {"keep": (0, 1), "vth": (0, np.inf), "bias": (-np.inf, np.inf)}


def check_port(port: InputPort) -> None:
    """Check a port by itself.

    Raises:
        NetworkError: for a shape, a number of bits or a scale that cannot be.
    """
    here = f"$.inputs[{port.name}]"
    if len(port.shape) not in (1, 3) or min(port.shape) < 1:
        raise NetworkError(
            f"{here}.shape", f"shape {port.shape} is not (C, H, W) or (N,)", "give 1 or 3 positive sizes"
        )
    if port.bits != REAL and not 1 <= port.bits <= GRADED_BITS_LIMIT:
        raise NetworkError(f"{here}.bits", f"{port.bits} bits", f"use 1 (spikes) to {GRADED_BITS_LIMIT} (graded)")
    if not (np.isfinite(port.scale) and port.scale > 0):
        raise NetworkError(
            f"{here}.scale",
            f"scale {port.scale} is not a positive number",
            "give the real value of one unit",
        )


def check_network(network: SpikingNetwork) -> None:
    """Check a whole network, ports first, then layer by layer.

    Raises:
        NetworkError: at the first place that breaks the contract.
    """
    shapes: dict[str, Shape] = {}
    intervals: dict[str, Interval] = {}
    readouts: set[str] = set()
    for port in network.inputs:
        here = f"$.inputs[{port.name}]"
        _claim(shapes, port.name, port.shape, here)
        if network.fixed and port.bits == REAL:
            raise NetworkError(f"{here}.bits", "real numbers enter a fixed-point network", "give it 1 to 16 bits")
        if network.fixed:
            intervals[port.name] = port.interval
    if not network.inputs or not network.layers:
        raise NetworkError("$", "a network needs an input and a layer", "add the missing part")
    for layer in network.layers:
        here = f"$.layers[{layer.name}]"
        _check_layer(layer, shapes, readouts, network.fixed, here)
        if network.fixed:
            _check_accumulator(layer, intervals, here)
        _claim(shapes, layer.name, layer.shape, here)
        intervals[layer.name] = (0, 1)
        if layer.neuron.readout:
            readouts.add(layer.name)


def _claim(shapes: dict[str, Shape], name: str, shape: Shape, where: str) -> None:
    if not name or name in shapes:
        raise NetworkError(where, f"the name {name!r} is empty or taken", "give each port and layer its own name")
    shapes[name] = shape


def _check_layer(layer: Layer, shapes: Mapping[str, Shape], readouts: set[str], fixed: bool, where: str) -> None:
    if not layer.connections:
        raise NetworkError(where, "nothing feeds this layer", "add a connection")
    for i, connection in enumerate(layer.connections):
        here = f"{where}.connections[{i}]"
        if connection.source not in shapes:
            raise NetworkError(
                f"{here}.source",
                f"no port or earlier layer is named {connection.source!r}",
                f"use one of {sorted(shapes)}",
            )
        if connection.source in readouts:
            raise NetworkError(
                where,
                f"it listens to read-out {connection.source!r}, which never spikes",
                "connect it to a spiking layer",
            )
        _check_weight(connection, fixed, here)
        _check_shape(connection, layer, shapes[connection.source], here)
    _check_neuron(layer, fixed, where)


def _check_weight(connection: Connection, fixed: bool, where: str) -> None:
    synapse = connection.synapse
    if isinstance(synapse, SumPool2d):
        return
    weight, expected = synapse.weight, {Conv2d: 4, Sparse: 1}.get(type(synapse), 2)
    wanted = ("int8",) if fixed else ("float32", "float64")
    if weight.dtype.name not in wanted or weight.ndim != expected or 0 in weight.shape:
        raise NetworkError(
            f"{where}.weight",
            f"{weight.dtype} array of shape {weight.shape}",
            f"give {' or '.join(wanted)} with {expected} dimension{'s' * (expected > 1)}",
        )
    if not np.isfinite(weight).all():
        raise NetworkError(f"{where}.weight", "it holds values that are not finite", "train the model again")
    if isinstance(synapse, Sparse):
        _check_synapse_list(synapse, where)


def _check_synapse_list(synapse: Sparse, where: str) -> None:
    for name, index, size in zip(("rows", "columns"), (synapse.rows, synapse.columns), synapse.size, strict=True):
        if index.dtype.name != "int32" or index.shape != synapse.weight.shape:
            raise NetworkError(
                f"{where}.{name}",
                f"{index.dtype} array of shape {index.shape}",
                f"give int32 of shape {synapse.weight.shape}, one per weight",
            )
        if int(index.min()) < 0 or int(index.max()) >= size:
            raise NetworkError(
                f"{where}.{name}", f"{index.min()}..{index.max()} leaves 0..{size - 1}", "correct them, or the size"
            )
    place = synapse.rows.astype(np.int64) * synapse.size[1] + synapse.columns
    if (np.diff(place) <= 0).any():
        raise NetworkError(
            f"{where}.rows",
            "the synapses are not sorted by row and column, each once",
            "sort them, and add up the weights of doubles",
        )


def _check_shape(connection: Connection, layer: Layer, source: Shape, where: str) -> None:
    try:
        shape = connection.synapse.output_shape(source)
    except ValueError as error:
        raise NetworkError(f"{where}.synapse", str(error), "correct the weight's shape or the source") from error
    if shape != layer.shape:
        raise NetworkError(
            f"{where}.synapse",
            f"it produces {shape}, the layer has {layer.shape}",
            "correct the layer's shape",
        )


def _check_neuron(layer: Layer, fixed: bool, where: str) -> None:
    neuron, channels = layer.neuron, layer.shape[0]
    for name, (low, high) in (FIXED_LIMITS if fixed else FLOAT_LIMITS).items():
        _check_constant(getattr(neuron, name), channels, "iu" if fixed else "iuf", f"{where}.neuron.{name}")
        value = getattr(neuron, name)
        if value.min() < low or value.max() > high:
            raise NetworkError(
                f"{where}.neuron.{name}",
                f"{value.min()}..{value.max()} leaves {low}..{high}",
                "bring it into range",
            )
    most = 2**DECAY_BITS if fixed else 1
    if not 0 <= neuron.ukeep <= most or (fixed and neuron.ukeep != int(neuron.ukeep)):
        whole = "whole numbers from " if fixed else ""
        raise NetworkError(f"{where}.neuron.ukeep", f"{neuron.ukeep}", f"use {whole}0 to {most}")
    if neuron.reset_interval < 0:
        raise NetworkError(
            f"{where}.neuron.reset_interval", f"{neuron.reset_interval} steps", "use 0 (never) or a number of steps"
        )
    _check_constant(layer.scale, channels, "f", f"{where}.scale")
    if layer.scale.min() <= 0:
        raise NetworkError(
            f"{where}.scale",
            f"scale {layer.scale.min()} is not a positive number",
            "give the real value of one unit",
        )


def _check_constant(value: IntArray, channels: int, kinds: str, where: str) -> None:
    if value.dtype.kind not in kinds or value.shape not in ((1,), (channels,)):
        raise NetworkError(
            where,
            f"{value.dtype} array of shape {value.shape}",
            f"give {'integers' if kinds == 'iu' else 'real numbers'} of shape (1,) or ({channels},)",
        )
    if not np.isfinite(value).all():
        raise NetworkError(where, "it is not finite", "give finite numbers")


def _check_accumulator(layer: Layer, intervals: Mapping[str, Interval], where: str) -> None:
    low, high = accumulator_interval(layer, intervals)
    if max(-low, high) >= ACCUMULATOR_LIMIT:
        raise NetworkError(
            where,
            f"its accumulator can reach {low}..{high}, past +-2^17",
            "scale its weights or its input down",
        )
