"""Kinetics: a CSV of `label,youtube_id,time_start,time_end,split` and `[split/[label/]]id_START_END.mp4`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hybrid.datasets.parse import any_suffix, inside, table
from hybrid.datasets.records import DataSet, Entry, LabelledClip, Missing, collect
from hybrid.errors import BadInputError

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
SPLITS = {
    "train": ("train",), "val": ("val", "validate", "validation"), "validate": ("validate", "val", "validation"),
    "validation": ("validation", "val", "validate"), "test": ("test",),
}  # fmt: skip
"""What a row says of its split, and how the folder of that split may be called."""


def kinetics(root: Path, *annotations: Path, missing: Missing = "fail", check: bool = False) -> DataSet:
    """Load one or more annotation files; classes are the labels that occur, in alphabetical order.

    Args:
        root: the folder with the clips, in sub-folders by split and label, by split, or flat.
        annotations: CSV files, such as `train.csv` and `validate.csv`.
        missing: what to do with a listed clip that is not there.
        check: open every clip.

    Raises:
        BadInputError: for malformed annotations, naming file and line, and as `collect` does.
    """
    if not annotations:
        raise BadInputError(str(root), "no annotation file was given", "name train.csv, validate.csv or both")
    entries = [entry for path in annotations for entry in _entries(root, path)]
    classes = sorted({entry.clip.label for entry in entries})
    return collect("Kinetics", classes, entries, missing=missing, check=check)


def _entries(root: Path, path: Path) -> Iterator[Entry]:
    for where, row in table(path, COLUMNS):
        folders = SPLITS.get(row["split"])
        if folders is None:
            raise BadInputError(where, f"split {row['split']!r}", f"use one of {', '.join(SPLITS)}")
        try:
            start, end = int(row["time_start"]), int(row["time_end"])
        except ValueError as error:
            raise BadInputError(where, f"the times are no whole seconds: {error}", "correct the row") from error
        if not 0 <= start < end:
            raise BadInputError(where, f"a clip cannot last from {start} to {end}", "correct the row")
        name = f"{row['youtube_id']}_{start:06d}_{end:06d}.mp4"
        places = [f"{folder}/{row['label']}/{name}" for folder in folders] + [f"{folder}/{name}" for folder in folders]
        places += [f"{row['label']}/{name}", name]
        found = [any_suffix(inside(root, place, where)) for place in places]
        file = next((candidate for candidate in found if candidate.is_file()), found[0])
        split = "validation" if "val" in folders else folders[0]
        yield Entry(LabelledClip(file, row["label"], row["youtube_id"], split), where)
