"""The bundle: one folder that holds a compiled model, versioned and checksummed; nothing in it is pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from safetensors.torch import load_file, save
from torch import nn

from ann_part.program import Program, build
from hwsim.chip import Chip
from hwsim.mapping import Mapping, MappingError, from_json, to_json
from hwsim.mapping.check import check_mapping
from hybrid import exports, parity
from hybrid.errors import BadInputError, VerificationError
from hybrid.files import folder_aside
from hybrid.model.config import ModelConfig
from hybrid.parity import Replay
from hybrid.platform import Host, Link
from hybrid.sealed import AGAIN, FileRecord, check, read_json, reading, record, size_of
from hybrid.user.model import UserModel
from snn_export import files as network_files
from snn_export.network import SpikingNetwork

MANIFEST, SEAL = "manifest.json", "manifest.sha256"
"""The manifest, and its own checksum as `sha256sum` writes it."""
SCHEMA_VERSION: Literal[1] = 1
CONTENTS = (
    network_files.STRUCTURE, network_files.ARRAYS, exports.NIR, "ann.json", "ann.safetensors", "mapping.json",
    parity.FILE,
)  # fmt: skip
"""What every bundle holds beside the manifest; netx files come with it where the network can be said so."""
ANN = ("ann.json", "ann.safetensors")
FEED = ("feed.json", "feed.safetensors")
"""What the host computes for the chip, in bundles of users' models that need it."""
SEAL_LIMIT = 100
"""Bytes of the checksum's file."""
NEURON_LIMIT = 2**26
"""Neurons of a network that is read."""


class Parity(BaseModel):
    """What was compared when the network was compiled, on the calibration clip, which is not in the bundle.

    Attributes:
        backends: executors that agreed bit for bit with the integer reference.
        gops: GOPs compared.
        sha256: hash of every spike and potential of the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backends: tuple[str, ...]
    gops: int
    sha256: str


class Manifest(BaseModel):
    """What the bundle holds and how it came to be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = Field(description="of this file")
    model: ModelConfig | UserModel = Field(description="the video model's configuration, or a user's model")
    chip: Chip = Field(description="the chip it was compiled for, all constants included")
    host: Host = Field(description="accounting of the ANN part")
    link: Link = Field(description="between host and chip")
    plan: dict[str, Any] = Field(description="where every op runs and why")
    host_inputs: tuple[str, ...] = Field(description="inputs of the ANN program, in order")
    host_macs: int = Field(description="multiply-accumulates of the ANN program per GOP")
    host_weight_bytes: int = Field(description="bytes of its weights")
    parity: Parity
    replay: Replay = Field(description="the check that `hybrid verify` makes again")
    source: dict[str, str] = Field(description="the checkpoint: hash and training notes")
    versions: dict[str, str] = Field(description="of what wrote the bundle")
    exports: dict[str, str] = Field({}, description="per format of other tools: what it does not say, or why not")
    files: dict[str, FileRecord] = Field(description="size and sha256 of every other file")

    @field_validator("files")
    @classmethod
    def _names_are_known(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        """A file of another name could lie outside the folder."""
        for name in files:
            if name not in (*CONTENTS, *FEED) and not exports.NETX.fullmatch(name):
                raise ValueError(f"{name!r} is no file of a bundle")
        wanted = {*CONTENTS, *(FEED if FEED[0] in files else ())}
        if missing := sorted(wanted - set(files)):
            raise ValueError(f"it does not list {missing[0]}")
        return files


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle read from disk and verified.

    Attributes:
        manifest: its description.
        network: the spiking graph.
        mapping: where its neurons sit on the chip.
        ann: the ANN program as a module.
        feed: what the host computes for the chip, as a module; None where the inputs go there as they are.
    """

    manifest: Manifest
    network: SpikingNetwork
    mapping: Mapping
    ann: nn.Module
    feed: nn.Module | None = None

    def video_model(self) -> ModelConfig:
        """The configuration of the video model in the bundle.

        Raises:
            BadInputError: for a bundle of a user's model.
        """
        if not isinstance(self.manifest.model, ModelConfig):
            what = f"the bundle holds {self.manifest.model.name}, which takes tensors"
            raise BadInputError("bundle", what, "give `hybrid run` one .npz or safetensors file")
        return self.manifest.model


def write_bundle(
    folder: Path,
    network: SpikingNetwork,
    mapping: Mapping,
    program: Program,
    manifest: MappingType[str, Any],
    *,
    feed: Program | None = None,
) -> None:
    """Write a bundle aside and rename it; identical input gives identical bytes.

    Args:
        folder: where to; an older bundle there is replaced.
        network: the spiking graph.
        mapping: of that graph on the chip.
        program: the ANN part.
        manifest: the fields of `Manifest`, but for the version, the exports and the checksums.
        feed: what the host computes for the chip.

    Raises:
        BadInputError: where the folder exists and is no bundle.
    """
    with folder_aside(folder, MANIFEST) as aside:
        network_files.write(network, aside)
        _write_program(aside, ANN, program)
        if feed is not None:
            _write_program(aside, FEED, feed)
        (aside / "mapping.json").write_text(_json(to_json(mapping)))
        contents, notes = exports.export(network)
        replay, contents[parity.FILE] = parity.record(network)
        for name, data in contents.items():
            (aside / name).write_bytes(data)
        names = sorted({*CONTENTS, *contents, *(FEED if feed else ())})
        files = {name: record(aside / name) for name in names}
        found = Manifest(
            schema_version=SCHEMA_VERSION, files=files, exports=dict(notes), replay=replay, **manifest
        )  # fmt: skip
        (aside / MANIFEST).write_text(_json(found.model_dump(mode="json")))
        (aside / SEAL).write_text(_seal(aside))


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle after verifying its schema version and every checksum.

    Raises:
        BadInputError: where it is no bundle, or one of another schema version.
        VerificationError: where a file was changed after it was written.
    """
    manifest = read_manifest(folder)
    for name, wanted in manifest.files.items():
        check(folder / name, wanted)
    return read_contents(folder, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest after verifying its schema version and its own checksum.

    Raises:
        BadInputError: where there is none, or one of another schema version.
        VerificationError: where it was changed after it was written.
    """
    path = folder / MANIFEST
    if not path.exists():
        what = f"it holds no {MANIFEST}, so it is no bundle"
        raise BadInputError(str(folder), what, "give a folder that `hybrid compile` wrote")
    with reading(path):
        data = read_json(path)
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            what = f"schema version {version}; this program reads {SCHEMA_VERSION}"
            raise BadInputError(str(path), what, "use the version of hybrid-snn that wrote it")
    seal = folder / SEAL
    if size_of(seal) > SEAL_LIMIT or seal.read_bytes() != _seal(folder).encode():
        raise VerificationError(
            str(path), f"its checksum is not the one in {seal.name}: one of the two was changed", AGAIN
        )
    with reading(path):
        return Manifest.model_validate(data)


def read_contents(folder: Path, manifest: Manifest) -> Bundle:
    """Read all parts of a bundle whose checksums are right, and see whether they belong together.

    Raises:
        BadInputError: where a file does not hold what it should, whatever its checksum says.
    """
    with reading(folder / network_files.STRUCTURE):
        network = network_files.read(folder)
        neurons = sum(layer.size for layer in network.layers)
        if neurons > NEURON_LIMIT:
            raise ValueError(f"{neurons:,} neurons; this program takes up to {NEURON_LIMIT:,}")
        network.require_fixed("a chip")
    with reading(folder / "mapping.json"):
        mapping = from_json(read_json(folder / "mapping.json"))
        _check_places(mapping, manifest.chip)
        check_mapping(network, mapping)
    ann = _read_program(folder, ANN)
    feed = _read_program(folder, FEED) if FEED[0] in manifest.files else None
    return Bundle(manifest, network, mapping, ann, feed)


def _check_places(mapping: Mapping, chip: Chip) -> None:
    """Refuse a mapping of another chip, or cores that are not on it."""
    mesh, fix = chip.mesh, "map this network again"
    found = (mapping.chip, mapping.tiles_x, mapping.tiles_y, mapping.cores_per_tile)
    if found != (chip.name, mesh.tiles_x, mesh.tiles_y, mesh.cores_per_tile):
        raise MappingError("$.chip", f"mapped to {mapping.chip!r}, and the manifest has {chip.name!r}", fix)
    taken: set[tuple[int, ...]] = set()
    sizes = (mapping.chips, mesh.tiles_x, mesh.tiles_y, mesh.cores_per_tile)
    for i, core in enumerate(mapping.cores):
        place = (core.chip, core.x, core.y, core.slot)
        if place in taken or not all(0 <= at < size for at, size in zip(place, sizes, strict=True)):
            raise MappingError(f"$.cores[{i}]", f"place {place} is taken, or not on the chip", fix)
        taken.add(place)
        if None in (core.used.synapse_memory_bytes, core.used.inputs, core.used.outputs):
            raise MappingError(f"$.cores[{i}].used", "it does not say all that the core holds", fix)
    if not 1 <= mapping.chips <= len(mapping.cores):
        raise MappingError("$.chips", f"{mapping.chips} chips for {len(mapping.cores)} cores", fix)


def _write_program(folder: Path, files: tuple[str, str], program: Program) -> None:
    (folder / files[0]).write_text(_json({"records": list(program.records)}))
    (folder / files[1]).write_bytes(save({k: v.contiguous() for k, v in program.tensors.items()}))


def _read_program(folder: Path, files: tuple[str, str]) -> nn.Module:
    with reading(folder / files[1]):
        tensors = load_file(folder / files[1])
    with reading(folder / files[0]):
        return build(Program(tuple(read_json(folder / files[0])["records"]), tensors))


def _json(data: object) -> str:
    return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _seal(folder: Path) -> str:
    return f"{record(folder / MANIFEST).sha256}  {MANIFEST}\n"
