"""One folder per class, with or without a CSV of `path,label[,split][,group]`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hybrid.datasets.parse import any_suffix, inside, is_video, table
from hybrid.datasets.records import DataSet, Entry, LabelledClip, Missing, collect
from hybrid.errors import BadInputError

SPLITS = ("train", "validation", "test", "all")
GROUP = re.compile(r"^(?P<group>.+)_\d+$")
"""`Run_11_31` is clip 31 of group `Run_11`."""


def folder(root: Path, listing: Path | None = None, *, missing: Missing = "fail", check: bool = False) -> DataSet:
    """Load a folder; classes are in alphabetical order.

    Args:
        root: the folder with one sub-folder per class.
        listing: a CSV with the columns `path` (below `root`) and `label`, and perhaps `split` and `group`.
        missing: what to do with a listed clip that is not there.
        check: open every clip.

    Raises:
        BadInputError: for a missing folder, a malformed listing, naming its line, and as `collect` does.
    """
    if not root.is_dir():
        raise BadInputError(str(root), "there is no such folder", "give a folder with one sub-folder per class")
    entries = list(_found(root) if listing is None else _listed(root, listing))
    classes = sorted({entry.clip.label for entry in entries})
    if listing is None:
        classes = sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not classes:
            raise BadInputError(str(root), "it has no sub-folders", "make one folder per class")
    return collect(root.resolve().name, classes, entries, missing=missing, check=check)


def _found(root: Path) -> Iterator[Entry]:
    for path in sorted(root.glob("*/*")):
        if is_video(path) and not path.parent.name.startswith("."):
            yield Entry(LabelledClip(path, path.parent.name, group_of(path), "all"), str(path))


def _listed(root: Path, listing: Path) -> Iterator[Entry]:
    for where, row in table(listing, ("path", "label")):
        path = any_suffix(inside(root, row["path"], where))
        split = row.get("split") or "all"
        if split not in SPLITS:
            raise BadInputError(where, f"split {split!r}", f"use one of {', '.join(SPLITS)}, or none")
        clip = LabelledClip(path, row["label"], row.get("group") or group_of(path), split)
        yield Entry(clip, where)


def group_of(path: Path) -> str:
    """The recording group that a file name tells: all but its last number."""
    match = GROUP.match(path.stem)
    return match["group"] if match else path.stem
