"""What a command must not leave: segments in shared memory, temporary files, half-written artefacts."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import safe_open

from hybrid.bundle import MANIFEST, load_bundle
from hybrid.runtime.journal import read_lines

SHARED = Path("/dev/shm")
SETTLE_S = 3.0
"""How long another program's new segment may take until it is mapped."""


def segments() -> set[str]:
    """Names in shared memory."""
    return set(os.listdir(SHARED))


def leaked(before: set[str]) -> list[str]:
    """Segments that are new, and that no living process holds: those of other programs at work are held."""
    limit = time.monotonic() + SETTLE_S
    while (new := segments() - before) and (left := new - _held(new)) and time.monotonic() < limit:
        time.sleep(0.1)
    return sorted(left) if new else []


def temporary(folder: Path) -> list[str]:
    """Hidden files and folders, which is what everything that is written aside is, and parts of a checkpoint."""
    found = (path for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith((".part", ".tmp")))
    return sorted(str(path.relative_to(folder)) for path in found)


def broken(folder: Path) -> list[str]:
    """Artefacts that are there and cannot be read as what their name says; nothing is looked for in hidden folders."""
    return [f"{path.relative_to(folder)}: {why}" for path in _visible(folder) if (why := _wrong(path)) is not None]


def _held(names: set[str]) -> set[str]:
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            text = Path(f"/proc/{pid}/maps").read_text()
            found |= {name for name in names if f"{SHARED}/{name}" in text}
    return found


def _visible(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _visible(path)
            if (path / MANIFEST).exists() or path.name == "bundle":
                yield path
        else:
            yield path


def _wrong(path: Path) -> str | None:
    read = load_bundle if path.is_dir() else READERS.get(path.suffix)
    try:
        if read is not None:
            read(path)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


def _json(path: Path) -> None:
    json.loads(path.read_text())


def _json_lines(path: Path) -> None:
    for _, line in read_lines(path):  # a last line without its end is cut off by the next run
        json.loads(line)


def _table(path: Path) -> None:
    with path.open(newline="") as file:
        head, *rows = list(csv.reader(file))
    if any(len(row) != len(head) for row in rows):
        raise ValueError("a row is not whole")


def _page(path: Path) -> None:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("the page has no end")


def _tensors(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 (not a mapping)
            file.get_tensor(name)


def _state(path: Path) -> None:
    torch.load(path, map_location="cpu", weights_only=True)


READERS: dict[str, Callable[[Path], None]] = {
    ".json": _json, ".jsonl": _json_lines, ".csv": _table, ".html": _page, ".safetensors": _tensors, ".ckpt": _state,
}  # fmt: skip
"""By the ending of a name; what is a log, such as TensorBoard's, is written line by line and not in it."""
