"""A SpikingNetwork on disk: `spiking.json` for the structure, `spiking.safetensors` for the arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
)

STRUCTURE, ARRAYS = "spiking.json", "spiking.safetensors"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Input(_Record):
    name: str
    shape: tuple[int, ...]
    bits: int
    scale: float


class _Connection(_Record):
    source: str
    kind: Literal["conv2d", "dense"]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


class _Layer(_Record):
    name: str
    shape: tuple[int, ...]
    connections: tuple[_Connection, ...]
    reset: Reset
    readout: bool
    ukeep: int
    scale: float


class _Network(_Record):
    schema_version: Literal[1] = 1
    inputs: tuple[_Input, ...]
    layers: tuple[_Layer, ...]


def write(network: SpikingNetwork, folder: Path) -> None:
    """Write both files into an existing folder; equal networks give equal bytes."""
    arrays: dict[str, IntArray] = {}
    layers = []
    for layer in network.layers:
        connections = []
        for i, connection in enumerate(layer.connections):
            arrays[f"{layer.name}/{i}/weight"] = np.ascontiguousarray(connection.synapse.weight)
            connections.append(_connection(connection))
        for name in ("keep", "vth", "bias"):
            arrays[f"{layer.name}/{name}"] = getattr(layer.neuron, name).astype(np.int32)
        neuron = layer.neuron
        layers.append(
            _Layer(
                name=layer.name, shape=layer.shape, connections=tuple(connections), reset=neuron.reset,
                readout=neuron.readout, ukeep=neuron.ukeep, scale=layer.scale,
            )
        )  # fmt: skip
    inputs = tuple(_Input(name=p.name, shape=p.shape, bits=p.bits, scale=p.scale) for p in network.inputs)
    record = _Network(inputs=inputs, layers=tuple(layers))
    (folder / STRUCTURE).write_text(json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
    (folder / ARRAYS).write_bytes(save(arrays))


def read(folder: Path) -> SpikingNetwork:
    """Read a network that `write` made.

    Raises:
        NetworkError: where a file is missing, malformed, or breaks the contract.
    """
    try:
        record = _Network.model_validate_json((folder / STRUCTURE).read_bytes())
        arrays = load_file(folder / ARRAYS)
    except (OSError, ValidationError, SafetensorError) as error:
        raise NetworkError(
            str(folder), f"not a spiking network: {error}", "write it again with `hybrid compile`"
        ) from error
    try:
        layers = tuple(_layer(layer, arrays) for layer in record.layers)
    except KeyError as error:
        raise NetworkError(
            str(folder / ARRAYS), f"the array {error} is missing", "write it again with `hybrid compile`"
        ) from error
    return SpikingNetwork(tuple(InputPort(**port.model_dump()) for port in record.inputs), layers)


def _connection(connection: Connection) -> _Connection:
    synapse = connection.synapse
    if isinstance(synapse, Dense):
        return _Connection(source=connection.source, kind="dense")
    return _Connection(
        source=connection.source, kind="conv2d", stride=synapse.stride, padding=synapse.padding,
        dilation=synapse.dilation, groups=synapse.groups,
    )  # fmt: skip


def _layer(record: _Layer, arrays: dict[str, IntArray]) -> Layer:
    connections = []
    for i, connection in enumerate(record.connections):
        weight = arrays[f"{record.name}/{i}/weight"]
        synapse: Conv2d | Dense = (
            Dense(weight)
            if connection.kind == "dense"
            else Conv2d(weight, connection.stride, connection.padding, connection.dilation, connection.groups)
        )
        connections.append(Connection(connection.source, synapse))
    keep, vth, bias = (arrays[f"{record.name}/{name}"] for name in ("keep", "vth", "bias"))
    neuron = LIF(keep, vth, record.reset, record.readout, record.ukeep, bias)
    return Layer(record.name, record.shape, tuple(connections), neuron, record.scale)
