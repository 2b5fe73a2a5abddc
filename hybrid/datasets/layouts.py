"""A data set by the name of its layout, as the command line gives it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from hybrid.datasets.folder import folder
from hybrid.datasets.hmdb51 import hmdb51
from hybrid.datasets.kinetics import kinetics
from hybrid.datasets.records import DataSet, Missing
from hybrid.datasets.something import something_something
from hybrid.datasets.ucf101 import ucf101
from hybrid.errors import BadInputError

LAYOUTS = ("folder", "ucf101", "hmdb51", "kinetics", "something-something")


def load_data(
    root: Path, layout: str = "folder", annotations: Path | None = None, *, split: int = 1, missing: str = "fail"
) -> DataSet:
    """Load a data set in one of `LAYOUTS`.

    Args:
        root: the folder with the clips.
        layout: how clips and annotations lie.
        annotations: the annotation folder; of `kinetics` a folder with CSV files, or one such file; of `folder` a
            CSV file, or nothing.
        split: which of the official splits, where there are several.
        missing: `fail` or `skip` a listed clip that is not there.

    Raises:
        BadInputError: for an unknown name, missing annotations, and as the layout's own loader does.
    """
    if missing not in get_args(Missing):
        raise BadInputError(f"missing {missing!r}", "this is not known", f"use one of {', '.join(get_args(Missing))}")
    skip: Missing = "skip" if missing == "skip" else "fail"
    if layout == "folder":
        return folder(root, annotations, missing=skip)
    if layout not in LAYOUTS:
        raise BadInputError(f"layout {layout!r}", "there is no such layout", f"use one of {', '.join(LAYOUTS)}")
    if annotations is None:
        raise BadInputError(f"layout {layout}", "it needs its annotation files", "name them: --annotations PATH")
    if layout == "kinetics":
        files = sorted(annotations.glob("*.csv")) if annotations.is_dir() else [annotations]
        return kinetics(root, *files, missing=skip)
    if layout == "something-something":
        return something_something(root, annotations, missing=skip)
    return (ucf101 if layout == "ucf101" else hmdb51)(root, annotations, split, missing=skip)
