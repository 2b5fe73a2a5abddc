"""The commands of the campaign on small real inputs, and what two runs of one must have in common."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from safetensors import safe_open

from hybrid.parquet import read_rows
from hybrid.shipped import CHECKPOINT, CLIPS

OUT = "out"
"""The folder for the output, in the folder where a command runs."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: of the row.
        arguments: after `hybrid`; paths within the folder of the run.
        result: what an undisturbed run and one that was killed and went on must have in common.
        over: another command whose output lies there before; its result may stay until this one is done.
        warm: whether it may be started by fork.
        weight: how often its turn comes in a round; those that take long come once.
    """

    name: str
    arguments: tuple[str, ...]
    result: Callable[[Path], Any]
    over: tuple[str, ...] = ()
    warm: bool = True
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Inputs:
    """Small real inputs.

    Attributes:
        checkpoint: the shipped model.
        clips: the shipped clips.
        bundle: of the shipped model.
        data: clips in a folder per class.
    """

    checkpoint: Path
    clips: tuple[Path, ...]
    bundle: Path
    data: Path


def prepare(home: Path) -> Inputs:
    """Make the inputs in a folder; the bundle is made by the first command."""
    data, clips = home / "data", []
    for clip in CLIPS:
        label = clip.stem.partition("_")[0]
        (data / label).mkdir(parents=True, exist_ok=True)
        for group in range(3):
            shutil.copy(clip, data / label / f"{label}_{group}_0.avi")
        clips += sorted((data / label).iterdir())[:2]
    return Inputs(CHECKPOINT, tuple(clips), home / "bundle", data)


def compiling(inputs: Inputs, to: str, chip: str = "loihi2") -> tuple[str, ...]:
    """The arguments that compile the shipped model."""
    return (
        "compile", str(inputs.checkpoint), "--calibrate", str(inputs.clips[0]), "--chip", chip, "--out", to,
    )  # fmt: skip


def commands(inputs: Inputs) -> tuple[Command, ...]:
    """Every command of the campaign."""
    bundle = f"{OUT}/bundle"
    run = ("run", str(inputs.bundle), *map(str, inputs.clips), "--repeats", "1", "--out", f"{OUT}/run")
    sweep = (
        "sweep", str(inputs.checkpoint), "--calibrate", str(inputs.clips[0]), "--interval", "11", "--interval", "5",
        "--out", f"{OUT}/sweep",
    )  # fmt: skip
    changes = ('classes=["Run", "Sit"]', "training.epochs=4", "input.views=1", "training.batch=2")
    train = (
        "train", str(inputs.data), *(word for change in changes for word in ("--set", change)),
        "--held-out", "0.34", "--accelerator", "cpu", "--out", f"{OUT}/model.safetensors",
    )  # fmt: skip
    return (
        Command("compile", compiling(inputs, bundle), files, weight=2),
        Command(
            "compile over a bundle", compiling(inputs, bundle), files, compiling(inputs, bundle, "loihi1"), weight=3
        ),
        Command("run", run, classified, weight=4),
        Command("run on Lava", (*run, "--backend", "lava-fused"), classified, weight=2),
        Command("sweep", sweep, swept, weight=4),
        Command("sweep, 2 workers", (*sweep, "--workers", "2"), swept, warm=False),
        Command("train", train, trained, weight=4),
        Command("train, 2 loaders", (*train, "--workers", "2"), trained, weight=3),
        Command("train, 2 processes", (*train, "--devices", "2"), trained, warm=False),
    )


def files(out: Path) -> dict[str, str]:
    """Every file of the bundle, byte for byte."""
    return {path.name: _hash(path) for path in sorted((out / "bundle").iterdir())}


def classified(out: Path) -> dict[str, Any]:
    """What each video was classified as and how often everything happened.

    Times differ from run to run, and the last digits of the ANN part's floating-point numbers may.
    """
    lines = [json.loads(line) for line in (out / "run" / "videos.jsonl").read_text().splitlines()]
    report = json.loads((out / "run" / "report.json").read_text())
    results = {}
    for line in lines:
        label, shares = (line["result"]["prediction"][key] for key in ("label", "probabilities"))
        rounded = {name: round(share, 4) for name, share in shares.items()}
        results[line["video"]] = [label, rounded, line["result"]["counts"]]
    rows = sorted((row["video"], row["label"]) for row in read_rows(out / "run" / "videos.parquet"))
    return {
        "lines": len(lines), "videos": results, "report": report["counts"], "rows": rows, "files": _names(out / "run"),
    }  # fmt: skip


def swept(out: Path) -> dict[str, Any]:
    """Every point, in the order of the table; the lines are in the order in which they came."""
    with (out / "sweep" / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = sorted((out / "sweep" / "points.jsonl").read_text().splitlines())
    table = sorted(read_rows(out / "sweep" / "points.parquet"), key=itemgetter("key"))
    return {"rows": rows, "lines": lines, "table": table, "files": _names(out / "sweep")}


def trained(out: Path) -> dict[str, Any]:
    """The checkpoint, bit for bit (its notes have no fixed order), and that nothing of its making is left but logs."""
    left = [name for name in _names(out) if not name.startswith("model.train/logs/")]
    with safe_open(out / "model.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118 (no mapping)
        notes = dict(file.metadata() or {})
    digest = hashlib.sha256(b"".join(name.encode() + tensors[name] for name in sorted(tensors))).hexdigest()
    return {"notes": notes, "weights": digest, "files": left}


def _names(folder: Path) -> list[str]:
    """Every file but the parts of tables: how many there are depends on how often a run was killed."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("part-"))
    return sorted(_relative(folder, files))


def _relative(folder: Path, paths: Iterable[Path]) -> list[str]:
    return [str(path.relative_to(folder)) for path in paths]


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
