"""HMDB-51: `class/name.avi`, and per class a file `class_test_splitN.txt` of `name.avi 0|1|2`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hybrid.datasets.parse import any_suffix, inside, lines
from hybrid.datasets.records import DataSet, Entry, LabelledClip, Missing, collect
from hybrid.errors import BadInputError

SPLITS = {"1": "train", "2": "test"}
"""0 is in neither part of that split."""


def hmdb51(root: Path, annotations: Path, split: int = 1, *, missing: Missing = "fail", check: bool = False) -> DataSet:
    """Load one of the three official splits; classes are in alphabetical order.

    Args:
        root: the folder with one sub-folder per class.
        annotations: the folder with the split files.
        split: 1, 2 or 3.
        missing: what to do with a listed clip that is not there.
        check: open every clip.

    Raises:
        BadInputError: for malformed annotations, naming file and line, and as `collect` does.
    """
    ending = f"_test_split{split}.txt"
    files = sorted(annotations.glob(f"*{ending}")) if annotations.is_dir() else []
    if not files:
        raise BadInputError(str(annotations), f"it has no file *{ending}", "give the folder with HMDB-51's split files")
    classes = [file.name.removesuffix(ending) for file in files]
    entries = [entry for label, file in zip(classes, files, strict=True) for entry in _entries(root, file, label)]
    return collect("HMDB-51", classes, entries, missing=missing, check=check)


def _entries(root: Path, path: Path, label: str) -> Iterator[Entry]:
    seen = set[str]()
    for where, line in lines(path):
        name, _, part = line.rpartition(" ")
        if not name or part not in ("0", "1", "2"):
            raise BadInputError(where, f"{line!r} is not `name.avi 0|1|2`", "download the file again")
        if name in seen:  # also where 0 leaves it out, which no later check sees
            raise BadInputError(where, f"{name} is listed before", "remove one")
        seen.add(name)
        if part != "0":
            file = any_suffix(inside(root, f"{label}/{name.strip()}", where))
            yield Entry(LabelledClip(file, label, file.stem, SPLITS[part]), where)
