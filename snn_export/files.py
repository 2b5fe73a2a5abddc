"""A SpikingNetwork on disk: `spiking.json` for the structure, `spiking.safetensors` for the arrays.

Schema 2. Schema 1, which had one scale per layer in the structure, is still read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.numpy import load, save

from snn_export.network import (
    LIF,
    Arithmetic,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
    Synapse,
)

STRUCTURE, ARRAYS = "spiking.json", "spiking.safetensors"
SCHEMA_VERSION = 2
CONSTANTS = ("keep", "vth", "bias")
AGAIN = "write it again with `hybrid compile`"

Pair = tuple[int, int]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Input(_Record):
    name: str
    shape: tuple[int, ...]
    bits: int
    scale: float


class _Connection(_Record):
    source: str
    kind: Literal["conv2d", "dense", "sparse", "sum_pool2d"]
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    kernel: Pair = (1, 1)
    size: Pair = (1, 1)


class _Layer(_Record):
    name: str
    shape: tuple[int, ...]
    connections: tuple[_Connection, ...]
    reset: Reset
    readout: bool
    ukeep: int | float
    reset_interval: int


class _Network(_Record):
    schema_version: Literal[2] = 2
    arithmetic: Arithmetic
    inputs: tuple[_Input, ...]
    layers: tuple[_Layer, ...]


def write(network: SpikingNetwork, folder: Path) -> None:
    """Write both files into an existing folder; equal networks give equal bytes."""
    structure, arrays = dumps(network)
    (folder / STRUCTURE).write_text(structure)
    (folder / ARRAYS).write_bytes(arrays)


def dumps(network: SpikingNetwork) -> tuple[str, bytes]:
    """The contents of both files, structure and arrays."""
    arrays: dict[str, IntArray] = {}
    layers = []
    for layer in network.layers:
        connections = []
        for i, connection in enumerate(layer.connections):
            connections.append(_connection(connection))
            arrays |= {f"{layer.name}/{i}/{key}": x for key, x in _arrays(connection.synapse).items()}
        for name in CONSTANTS:
            number = np.int32 if network.fixed else np.float64
            arrays[f"{layer.name}/{name}"] = getattr(layer.neuron, name).astype(number)
        arrays[f"{layer.name}/scale"] = layer.scale.astype(np.float64)
        neuron = layer.neuron
        layers.append(
            _Layer(
                name=layer.name, shape=layer.shape, connections=tuple(connections), reset=neuron.reset,
                readout=neuron.readout, ukeep=neuron.ukeep, reset_interval=neuron.reset_interval,
            )
        )  # fmt: skip
    inputs = tuple(_Input(name=p.name, shape=p.shape, bits=p.bits, scale=p.scale) for p in network.inputs)
    record = _Network(arithmetic=network.arithmetic, inputs=inputs, layers=tuple(layers))
    structure = json.dumps(record.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    return structure, save({name: np.ascontiguousarray(x) for name, x in arrays.items()})


def read(folder: Path) -> SpikingNetwork:
    """Read a network that `write`, of this version or an older one, made.

    Raises:
        NetworkError: where a file is missing, malformed, or breaks the contract.
    """
    try:
        structure, packed = (folder / STRUCTURE).read_bytes(), (folder / ARRAYS).read_bytes()
    except OSError as error:
        raise NetworkError(str(folder), f"not a spiking network: {error}", AGAIN) from error
    return loads(structure, packed, str(folder))


def loads(structure: str | bytes, packed: bytes, where: str) -> SpikingNetwork:
    """A network from what `dumps` gave; `where` is the place to name in an error, which is as in `read`."""
    try:
        data, arrays = json.loads(structure), load(packed)
        record = _Network.model_validate_json(json.dumps(_upgrade(data, arrays, where)))
    except NetworkError:
        raise
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise NetworkError(where, f"not a spiking network: {error}", AGAIN) from error
    try:
        layers = tuple(_layer(layer, arrays) for layer in record.layers)
    except KeyError as error:
        raise NetworkError(where, f"the array {error} is missing", AGAIN) from error
    ports = tuple(InputPort(**port.model_dump()) for port in record.inputs)
    return SpikingNetwork(ports, layers, record.arithmetic)


def _upgrade(data: Any, arrays: dict[str, IntArray], where: str) -> Any:
    """The structure in today's schema; what moved from it to the arrays is added to them."""
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version == SCHEMA_VERSION or not isinstance(version, int):
        return data
    if version != 1:
        raise NetworkError(
            where, f"schema version {version}; this version reads 1 to {SCHEMA_VERSION}", "use a newer version"
        )
    layers = []
    for layer in data.get("layers", ()):
        arrays[f"{layer['name']}/scale"] = np.array([layer["scale"]], np.float64)
        layers.append({key: value for key, value in layer.items() if key != "scale"} | {"reset_interval": 0})
    return data | {"schema_version": SCHEMA_VERSION, "arithmetic": Arithmetic.FIXED.value, "layers": layers}


def _arrays(synapse: Synapse) -> dict[str, IntArray]:
    if isinstance(synapse, SumPool2d):
        return {}
    if isinstance(synapse, Sparse):
        return {"weight": synapse.weight, "rows": synapse.rows, "columns": synapse.columns}
    return {"weight": synapse.weight}


def _connection(connection: Connection) -> _Connection:
    synapse, source = connection.synapse, connection.source
    if isinstance(synapse, Dense):
        return _Connection(source=source, kind="dense")
    if isinstance(synapse, Sparse):
        return _Connection(source=source, kind="sparse", size=synapse.size)
    if isinstance(synapse, SumPool2d):
        return _Connection(
            source=source, kind="sum_pool2d", kernel=synapse.kernel, stride=synapse.stride, padding=synapse.padding
        )
    return _Connection(
        source=source, kind="conv2d", stride=synapse.stride, padding=synapse.padding,
        dilation=synapse.dilation, groups=synapse.groups,
    )  # fmt: skip


def _layer(record: _Layer, arrays: dict[str, IntArray]) -> Layer:
    connections = tuple(
        Connection(c.source, _synapse(c, arrays, f"{record.name}/{i}")) for i, c in enumerate(record.connections)
    )
    keep, vth, bias, scale = (arrays[f"{record.name}/{name}"] for name in (*CONSTANTS, "scale"))
    neuron = LIF(keep, vth, record.reset, record.readout, record.ukeep, bias, record.reset_interval)
    return Layer(record.name, record.shape, connections, neuron, scale)


def _synapse(record: _Connection, arrays: dict[str, IntArray], name: str) -> Synapse:
    if record.kind == "sum_pool2d":
        return SumPool2d(record.kernel, record.stride, record.padding)
    weight = arrays[f"{name}/weight"]
    if record.kind == "dense":
        return Dense(weight)
    if record.kind == "sparse":
        return Sparse(weight, arrays[f"{name}/rows"], arrays[f"{name}/columns"], record.size)
    return Conv2d(weight, record.stride, record.padding, record.dilation, record.groups)
