"""What differs between two bundles, most telling first: model, plan, constants, weights, mapping, figures."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from hwsim.mapping import Mapping, assess, utilization
from hybrid.bundle import ANN, FEED, MANIFEST, Bundle
from hybrid.sealed import reading, record
from snn_export.network import IntArray, Layer, SpikingNetwork, SumPool2d

ABSENT = None
"""The value of what only the other bundle has."""
CONSTANTS = ("keep", "vth", "bias", "ukeep", "reset", "reset_interval", "readout")
BAND = {"low", "nominal", "high", "unit", "status", "source"}
"""Keys of a constant in a profile."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs.

    Attributes:
        section: what it is part of.
        key: which one.
        left: its value in the first bundle; None where it has none.
        right: in the second.
    """

    section: str
    key: str
    left: Any
    right: Any


def differences(left: Bundle, right: Bundle, folders: tuple[Path, Path]) -> tuple[Difference, ...]:
    """Everything that differs; none means that the bundles are equal byte for byte.

    The quality of a mapping is computed here, for a step in which every neuron fires.

    Args:
        left: the first bundle.
        right: the second.
        folders: where they are.

    Raises:
        BadInputError: for constants of a chip with which no mapping can be judged.
    """
    a, b = left.manifest.model_dump(mode="json"), right.manifest.model_dump(mode="json")
    found: list[Difference] = []
    found += compare("model", a["model"], b["model"])
    found += _plan(a["plan"], b["plan"])
    for section in ("chip", "host", "link"):
        found += compare(section, a[section], b[section])
    found += compare_networks(left.network, right.network)
    found += _programs(folders)
    found += compare("mapping", _mapping(left, folders[0]), _mapping(right, folders[1]))
    found += _moved(left.mapping, right.mapping)
    found += compare("predicted", _predicted(a), _predicted(b))
    for section in ("parity", "replay", "exports", "source", "versions"):
        found += compare(section, a[section], b[section])
    sums = [{MANIFEST: record(folder / MANIFEST).sha256} for folder in folders]
    for own, data in zip(sums, (a, b), strict=True):
        own |= {name: file["sha256"] for name, file in data["files"].items()}
    found += compare("checksums", *sums)
    return tuple(found)


def compare(section: str, left: Any, right: Any) -> Iterator[Difference]:
    """The leaves in which two trees of plain data differ, by their dotted keys."""
    a, b = dict(_leaves(left)), dict(_leaves(right))
    for key in dict.fromkeys((*a, *b)):
        if a.get(key, ABSENT) != b.get(key, ABSENT):
            yield Difference(section, key, a.get(key, ABSENT), b.get(key, ABSENT))


def compare_networks(left: SpikingNetwork, right: SpikingNetwork) -> Iterator[Difference]:
    """Ports, layers, scales, constants, and how many weights of a layer differ and by how much at most."""
    ports = [{p.name: {"shape": list(p.shape), "bits": p.bits, "scale": p.scale} for p in n.inputs}
             for n in (left, right)]  # fmt: skip
    yield from compare("quantisation", *ports)
    a, b = ({layer.name: layer for layer in network.layers} for network in (left, right))
    for name in dict.fromkeys((*a, *b)):
        if name not in a or name not in b:
            sizes = (list(x[name].shape) if name in x else ABSENT for x in (a, b))
            yield Difference("quantisation", name, *sizes)
            continue
        yield from _layers(a[name], b[name])


def _layers(left: Layer, right: Layer) -> Iterator[Difference]:
    yield from compare("quantisation", {left.name: _facts(left)}, {right.name: _facts(right)})
    for (where, a), (_, b) in zip(_weights(left), _weights(right), strict=False):
        if a.shape != b.shape:
            yield Difference("quantisation", where, list(a.shape), list(b.shape))
        elif (a != b).any():
            most = int(np.abs(a.astype(np.int64) - b).max())
            text = f"{int((a != b).sum()):,} of {a.size:,} differ, by {most} at most"
            yield Difference("quantisation", where, "", text)


def _facts(layer: Layer) -> dict[str, Any]:
    values = {"shape": list(layer.shape), "scale": _short(layer.scale)}
    values |= {name: _short(getattr(layer.neuron, name)) for name in CONSTANTS}
    inputs = [f"{c.source}: {type(c.synapse).__name__}" for c in layer.connections]
    return values | {"connections": inputs}


def _short(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return getattr(value, "value", value)
    return value.item() if value.size == 1 else value.tolist()


def _weights(layer: Layer) -> list[tuple[str, IntArray]]:
    return [
        (f"{layer.name}.connections.{i}.weight", c.synapse.weight)
        for i, c in enumerate(layer.connections)
        if not isinstance(c.synapse, SumPool2d)
    ]


def _plan(left: MappingType[str, Any], right: MappingType[str, Any]) -> Iterator[Difference]:
    """Ops that moved, and what crosses the link."""
    targets = [{op["op"]: op["target"] for op in _records(plan, "ops", "op", "target")} for plan in (left, right)]
    yield from compare("plan", *targets)
    crossings = [
        {
            c["op"]: f"{c['kind']} to {c['to']}, {c.get('bytes')} bytes"
            for c in _records(plan, "crossings", "op", "to", "kind")
        }
        for plan in (left, right)
    ]
    yield from compare("crossings", *crossings)


def _records(plan: MappingType[str, Any], key: str, *wanted: str) -> list[dict[str, Any]]:
    """The records that have these texts; a manifest's plan is free data."""
    rows = plan.get(key)
    rows = rows if isinstance(rows, list) else []
    return [x for x in rows if isinstance(x, dict) and all(isinstance(x.get(name), str) for name in wanted)]


def _programs(folders: tuple[Path, Path]) -> Iterator[Difference]:
    for section, (_, file) in (("ANN", ANN), ("feed", FEED)):
        if all((folder / file).exists() for folder in folders):
            yield from _tensors(section, *(folder / file for folder in folders))


def _tensors(section: str, left: Path, right: Path) -> Iterator[Difference]:
    """One tensor at a time: the two files may be large."""
    with safe_open(left, "pt") as a, safe_open(right, "pt") as b:
        names = (set(a.keys()), set(b.keys()))
        yield from compare(section, *(dict.fromkeys(sorted(x - y), "there") for x, y in (names, names[::-1])))
        for name in sorted(names[0] & names[1]):
            x, y = a.get_tensor(name), b.get_tensor(name)
            if x.shape != y.shape or x.dtype != y.dtype:
                yield Difference(section, name, f"{x.dtype} {list(x.shape)}", f"{y.dtype} {list(y.shape)}")
            elif not x.equal(y):
                most = float((x.double() - y.double()).abs().max())
                yield Difference(section, name, "", f"{int((x != y).sum()):,} of {x.numel():,} differ, by {most:.3g}")


def _mapping(bundle: Bundle, folder: Path) -> dict[str, Any]:
    mapping = bundle.mapping
    with reading(folder / MANIFEST):  # constants of any size may be in there
        quality = assess(bundle.network, bundle.manifest.chip, mapping)
    slowest, hops = quality.objective.slowest, quality.objective.hops
    return {
        "cores": len(mapping.cores), "chips": mapping.chips,
        "used": {name: used for name, (used, _) in utilization(mapping).items()},
        f"slowest core or link [{quality.unit}]": slowest, "hops": hops,
    }  # fmt: skip


def _moved(left: Mapping, right: Mapping) -> Iterator[Difference]:
    """How many blocks of neurons are cut or placed otherwise."""
    a, b = ({(c.layer, c.block, c.chip, c.x, c.y, c.slot) for c in mapping.cores} for mapping in (left, right))
    if a != b:
        yield Difference("mapping", "blocks that the other has not", len(a - b), len(b - a))


def _predicted(manifest: MappingType[str, Any]) -> dict[str, Any]:
    figures = {key: value for key, value in manifest["plan"].items() if key not in ("ops", "crossings")}
    return figures | {key: manifest[key] for key in ("host_macs", "host_weight_bytes", "host_inputs")}


def _leaves(data: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its dotted key; a list of plain values is one leaf, and so are value and band of a constant."""
    if isinstance(data, dict) and data.keys() == BAND:
        yield key, f"{data['nominal']:g} {data['unit']} ({data['low']:g} to {data['high']:g})"
        yield f"{key}.source", f"[{data['status']}] {data['source']}"
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    elif isinstance(data, (list, tuple)) and any(isinstance(x, (dict, list)) for x in data):
        for i, value in enumerate(data):
            yield from _leaves(value, f"{key}.{i}")
    else:
        yield key, list(data) if isinstance(data, tuple) else data
