"""What a loader returns, and how a list of entries becomes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hybrid.errors import BadInputError
from hybrid.video.reader import index

Missing = Literal["fail", "skip"]


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """One labelled video.

    Attributes:
        path: the file.
        label: name of its class.
        group: recording it belongs to; the file's own name where the data set does not say.
        split: `train`, `test`, `validation`, or `all` where the data set has no splits.
    """

    path: Path
    label: str
    group: str
    split: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set on disk.

    Attributes:
        name: of the data set.
        classes: labels in the official order.
        clips: in the order of the annotation files.
        skipped: listed files that were left out, and why.
    """

    name: str
    classes: tuple[str, ...]
    clips: tuple[LabelledClip, ...]
    skipped: tuple[tuple[Path, str], ...]

    def summary(self) -> str:
        """One line: clips per split, classes, and how many were left out."""
        splits = Counter(clip.split for clip in self.clips)
        counts = ", ".join(f"{count} {split}" for split, count in splits.items()) or "no"
        return f"{self.name}: {counts} clips in {len(self.classes)} classes; {len(self.skipped)} left out"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an annotation file.

    Attributes:
        clip: what it names; the file may be missing.
        where: file and line, for errors.
    """

    clip: LabelledClip
    where: str


def collect(name: str, classes: Sequence[str], entries: Iterable[Entry], *, missing: Missing, check: bool) -> DataSet:
    """Turn entries into a data set.

    Args:
        name: of the data set.
        classes: labels in the official order.
        entries: what the annotations list.
        missing: what to do with a clip that is not there, or, with `check`, cannot be used.
        check: open every clip and read its index.

    Raises:
        BadInputError: for no classes at all, a class or a clip listed twice, an unknown label, a class without
            clips, or, with `missing="fail"`, a clip that is not there or cannot be used.
    """
    if not classes:
        raise BadInputError(name, "its annotations list no class", "give annotation files that are not empty")
    twice = [label for label, count in Counter(classes).items() if count > 1]
    if twice:
        raise BadInputError(name, f"class {twice[0]!r} is listed twice", "correct the class list")
    known, seen = set(classes), dict[Path, str]()
    clips: list[LabelledClip] = []
    skipped: list[tuple[Path, str]] = []
    for entry in entries:
        clip = entry.clip
        if clip.label not in known:
            raise BadInputError(
                entry.where, f"{clip.label!r} is no class of {name}", "correct the label or the class list"
            )
        if clip.path in seen:
            raise BadInputError(entry.where, f"{clip.path.name} is listed before, at {seen[clip.path]}", "remove one")
        seen[clip.path] = entry.where
        reason = _unusable(clip.path, check)
        if reason is None:
            clips.append(clip)
        elif missing == "skip":
            skipped.append((clip.path, reason))
        else:
            raise BadInputError(entry.where, f"{clip.path}: {reason}", 'complete the data set, or pass missing="skip"')
    empty = sorted(known - {clip.label for clip in clips})
    if empty:
        raise BadInputError(
            name, f"class {empty[0]!r} has no clip ({len(empty)} such classes)", "complete the data set"
        )
    return DataSet(name, tuple(classes), tuple(clips), tuple(skipped))


def _unusable(path: Path, check: bool) -> str | None:
    if not path.is_file():
        return "there is no such file"
    if check:
        try:
            index(path, approximate=True)
        except BadInputError as error:
            return error.what
    return None
