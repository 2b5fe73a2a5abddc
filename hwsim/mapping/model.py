"""Mapping: which neurons each core holds and where the core sits; plain data, written to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

Span = tuple[int, int]
"""First index and one past the last."""

SCHEMA = 2
"""Version of the JSON form. Schema 1 said of each core whether its weights are a matrix, as connections do."""


class MappingError(ValueError):
    """A mapping file that cannot be read, or a mapping of another network.

    Attributes:
        where: the place, as `$.cores[3].layer`.
        what: what is wrong there.
        fix: how to repair it.
    """

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")


@dataclass(frozen=True, slots=True)
class Resources:
    """What a core holds, or may hold; None where there is no limit.

    Attributes:
        neurons: neurons.
        synapse_memory_bytes: bytes of weights.
        inputs: distinct source neurons, whatever the values of the weights.
        outputs: pairs of a neuron and a destination core, whatever the values of the weights.
    """

    neurons: int
    synapse_memory_bytes: int | None
    inputs: int | None
    outputs: int | None


@dataclass(frozen=True, slots=True)
class Core:
    """One core and the block of one layer that it holds.

    Attributes:
        id: position in `Mapping.cores`.
        layer: name of the layer.
        channels: channels (or features of a flat layer) held.
        rows: rows held; (0, 1) for a flat layer.
        columns: columns held; (0, 1) for a flat layer.
        chip: index of the chip.
        x: tile from west to east on that chip.
        y: tile from north to south on that chip.
        slot: core within the tile.
        used: what the block takes.
    """

    id: int
    layer: str
    channels: Span
    rows: Span
    columns: Span
    chip: int
    x: int
    y: int
    slot: int
    used: Resources

    @property
    def block(self) -> tuple[Span, Span, Span]:
        """Channels, rows and columns."""
        return (self.channels, self.rows, self.columns)


@dataclass(frozen=True, slots=True)
class Mapping:
    """Where every neuron of a network lives.

    Chips stand side by side from west to east and form one mesh: a tile's global column is
    `chip * tiles_x + x`.

    Attributes:
        chip: name of the chip profile.
        tiles_x: tiles per chip from west to east.
        tiles_y: tiles per chip from north to south.
        cores_per_tile: cores per tile.
        chips: chips used.
        limits: what one core may hold.
        counts_active: the chip prices active neurons apart, so that a run must count them.
        cores: the cores in use; every neuron is on exactly one.
    """

    chip: str
    tiles_x: int
    tiles_y: int
    cores_per_tile: int
    chips: int
    limits: Resources
    counts_active: bool
    cores: tuple[Core, ...]

    @property
    def tiles(self) -> tuple[tuple[int, int], ...]:
        """Global column and row of each core's tile."""
        return tuple((core.chip * self.tiles_x + core.x, core.y) for core in self.cores)


def to_json(mapping: Mapping) -> dict[str, Any]:
    """The mapping as plain JSON data."""
    return {"schema": SCHEMA, **TypeAdapter(Mapping).dump_python(mapping, mode="json")}


def from_json(data: dict[str, Any]) -> Mapping:
    """The mapping that `to_json` wrote, of this schema or the one before.

    Raises:
        MappingError: naming the key that is missing, unknown or of the wrong type.
    """
    if data.get("schema") not in (1, SCHEMA):
        raise MappingError("$.schema", f"schema {data.get('schema')!r}", f"this version reads schemas 1 to {SCHEMA}")
    known = set(Mapping.__dataclass_fields__)
    unknown = sorted(set(data) - known - {"schema"})
    if unknown:
        raise MappingError(f"$.{unknown[0]}", "an unknown key", f"use only {sorted(known)}")
    try:
        return TypeAdapter(Mapping).validate_python({k: v for k, v in data.items() if k in known})
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{k}]" if isinstance(k, int) else f".{k}" for k in first["loc"])
        raise MappingError(f"${place}", first["msg"], "write the mapping again") from error


def utilization(mapping: Mapping) -> dict[str, tuple[int, int | None]]:
    """Use of each resource: (used, most allowed), None where there is no limit.

    For what a core holds, used is the fullest core's; `cores` counts all cores of the chips in use.
    """
    table: dict[str, tuple[int, int | None]] = {
        "cores": (
            len(mapping.cores),
            mapping.chips * mapping.tiles_x * mapping.tiles_y * mapping.cores_per_tile,
        )
    }
    for name in Resources.__dataclass_fields__:
        used = [getattr(core.used, name) for core in mapping.cores]
        table[name] = (max(used), getattr(mapping.limits, name))
    return table
