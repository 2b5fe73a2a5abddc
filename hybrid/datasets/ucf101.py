"""UCF-101: `Class/v_Class_gNN_cNN.avi`, `classInd.txt`, `trainlist0N.txt`, `testlist0N.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hybrid.datasets.parse import any_suffix, inside, lines
from hybrid.datasets.records import DataSet, Entry, LabelledClip, Missing, collect
from hybrid.errors import BadInputError

GROUP = re.compile(r"_g(\d+)_c\d+$")


def ucf101(root: Path, annotations: Path, split: int = 1, *, missing: Missing = "fail", check: bool = False) -> DataSet:
    """Load one of the three official splits.

    Args:
        root: the folder with one sub-folder per class.
        annotations: the folder `ucfTrainTestlist`.
        split: 1, 2 or 3.
        missing: what to do with a listed clip that is not there.
        check: open every clip.

    Raises:
        BadInputError: for malformed annotations, naming file and line, and as `collect` does.
    """
    classes = _classes(annotations / "classInd.txt")
    entries: list[Entry] = []
    for name in ("train", "test"):
        entries += _entries(root, annotations / f"{name}list{split:02d}.txt", name, classes)
    return collect("UCF-101", classes, entries, missing=missing, check=check)


def _classes(path: Path) -> list[str]:
    classes: list[str] = []
    for where, line in lines(path):
        number, _, name = line.partition(" ")
        if number != str(len(classes) + 1) or not name:
            raise BadInputError(where, f"{line!r} is not `{len(classes) + 1} ClassName`", "download the file again")
        classes.append(name.strip())
    return classes


def _entries(root: Path, path: Path, split: str, classes: list[str]) -> Iterator[Entry]:
    for where, line in lines(path):
        name, _, number = line.partition(" ")
        label, _, clip = name.partition("/")
        if not clip or (split == "train") != bool(number):
            form = "`Class/file.avi 1`" if split == "train" else "`Class/file.avi`"
            raise BadInputError(where, f"{line!r} is not {form}", "download the file again")
        if number and (label not in classes or number.strip() != str(classes.index(label) + 1)):
            raise BadInputError(where, f"label {number.strip()} is not that of {label}", "download the file again")
        file = any_suffix(inside(root, name, where))
        group = GROUP.search(file.stem)
        yield Entry(LabelledClip(file, label, f"{label}_{group[1]}" if group else file.stem, split), where)
