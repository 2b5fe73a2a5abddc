"""The bundle: one folder that holds a compiled model, versioned and checksummed; nothing in it is pickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ann_part.program import Program, ProgramError, build
from hwsim.chip import Chip
from hwsim.mapping import Mapping, from_json, to_json
from hybrid import exports
from hybrid.errors import BadInputError, VerificationError
from hybrid.files import folder_aside
from hybrid.model.config import ModelConfig
from hybrid.platform import Host, Link
from hybrid.user.model import UserModel
from snn_export import files as network_files
from snn_export.network import SpikingNetwork

MANIFEST = "manifest.json"
SCHEMA_VERSION: Literal[1] = 1
CONTENTS = (
    network_files.STRUCTURE, network_files.ARRAYS, exports.NIR, "ann.json", "ann.safetensors", "mapping.json",
)  # fmt: skip
"""What every bundle holds beside the manifest; netx files come with it where the network can be said so."""
ANN = ("ann.json", "ann.safetensors")
FEED = ("feed.json", "feed.safetensors")
"""What the host computes for the chip, in bundles of users' models that need it."""


class Parity(BaseModel):
    """Evidence that the compiled network runs the same everywhere, from the calibration clip.

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
    source: dict[str, str] = Field(description="the checkpoint: hash and training notes")
    versions: dict[str, str] = Field(description="of what wrote the bundle")
    exports: dict[str, str] = Field({}, description="per format of other tools: what it does not say, or why not")
    files: dict[str, str] = Field(description="sha256 of every other file")


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
        for name, data in contents.items():
            (aside / name).write_bytes(data)
        checksums = {name: _sha256(aside / name) for name in sorted({*CONTENTS, *contents, *(FEED if feed else ())})}
        record = Manifest(schema_version=SCHEMA_VERSION, files=checksums, exports=dict(notes), **manifest)
        (aside / MANIFEST).write_text(_json(record.model_dump(mode="json")))


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle after verifying its schema version and every checksum.

    Raises:
        BadInputError: where it is no bundle, or one of another schema version.
        VerificationError: where a file was changed after it was written.
    """
    manifest = _manifest(folder)
    feeds = FEED[0] in manifest.files
    for name in (*CONTENTS, *(FEED if feeds else ()), *filter(exports.NETX.fullmatch, manifest.files)):
        path = folder / name
        if not path.is_file():
            raise BadInputError(str(path), "this file of the bundle is missing", "compile the model again")
        if _sha256(path) != manifest.files.get(name):
            raise VerificationError(
                str(path),
                "its checksum is not the one in the manifest: it was changed",
                "compile the model again",
            )
    try:
        ann, feed = _read_program(folder, ANN), _read_program(folder, FEED) if feeds else None
        mapping = from_json(json.loads((folder / "mapping.json").read_text()))
    except (ProgramError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BadInputError(str(folder), f"the bundle cannot be read: {error}", "compile the model again") from error
    return Bundle(manifest, network_files.read(folder), mapping, ann, feed)


def _write_program(folder: Path, files: tuple[str, str], program: Program) -> None:
    (folder / files[0]).write_text(_json({"records": list(program.records)}))
    (folder / files[1]).write_bytes(save({k: v.contiguous() for k, v in program.tensors.items()}))


def _read_program(folder: Path, files: tuple[str, str]) -> nn.Module:
    records = json.loads((folder / files[0]).read_text())["records"]
    return build(Program(tuple(records), load_file(folder / files[1])))


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise BadInputError(
            str(folder),
            f"it holds no {MANIFEST}, so it is no bundle",
            "give a folder that `hybrid compile` wrote",
        )
    try:
        data = json.loads(path.read_text())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if version != SCHEMA_VERSION:
            what = f"schema version {version}; this program reads {SCHEMA_VERSION}"
            raise BadInputError(str(path), what, "use the version of hybrid-snn that wrote it")
        return Manifest.model_validate(data)
    except (json.JSONDecodeError, ValidationError) as error:
        raise BadInputError(str(path), f"not a manifest of ours: {error}", "compile the model again") from error


def _json(data: object) -> str:
    return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
