"""Who is trained on and who is measured: official splits, or whole recording groups."""

from __future__ import annotations

from collections.abc import Sequence

from hybrid.datasets.records import DataSet, LabelledClip
from hybrid.errors import BadInputError

Clips = tuple[LabelledClip, ...]


def check_labels(data: DataSet, classes: Sequence[str]) -> None:
    """See that data set and model speak of the same classes.

    Raises:
        BadInputError: naming a class that the other side does not know.
    """
    unknown, absent = sorted(set(data.classes) - set(classes)), sorted(set(classes) - set(data.classes))
    if unknown:
        raise BadInputError(
            data.name, f"{unknown[0]!r} is not in the config's classes", "add it there, or move it away"
        )
    if absent:
        raise BadInputError(
            data.name, f"it has no clips of {absent[0]!r}", "add some, or take the class out of the config"
        )


def split(data: DataSet, held_out: float) -> tuple[Clips, Clips]:
    """The official test (else validation) part is held out where there is one, else whole groups.

    Args:
        data: the data set.
        held_out: share of the clips of each class to hold out where the data set has no split of its own.

    Returns:
        Training clips and held-out clips.
    """
    parts = {clip.split for clip in data.clips}
    measured = next((name for name in ("test", "validation") if name in parts), None)
    if measured is None:
        return split_by_group(data.clips, held_out)
    return (
        tuple(clip for clip in data.clips if clip.split in ("train", "all")),
        tuple(clip for clip in data.clips if clip.split == measured),
    )


def split_by_group(clips: Sequence[LabelledClip], share: float) -> tuple[Clips, Clips]:
    """Hold out whole recording groups: per class the smallest ones until `share` is reached, never all.

    Returns:
        Training clips and held-out clips; no group is in both.
    """
    held: set[tuple[str, str]] = set()
    for label, sizes in _sizes(clips).items():
        goal, count = share * sum(sizes.values()), 0
        for group in sorted(sizes, key=lambda g: (sizes[g], g))[:-1]:
            if count >= goal:
                break
            held.add((label, group))
            count += sizes[group]
    train = tuple(clip for clip in clips if (clip.label, clip.group) not in held)
    return train, tuple(clip for clip in clips if (clip.label, clip.group) in held)


def folds_by_group(clips: Sequence[LabelledClip], count: int) -> tuple[Clips, ...]:
    """Divide the clips for cross-validation: every group is whole, every class is in every fold.

    Per class the groups go, largest first, to the fold that has the fewest clips of it.

    Raises:
        BadInputError: for a class with fewer groups than folds.
    """
    fold_of: dict[tuple[str, str], int] = {}
    for label, sizes in _sizes(clips).items():
        if len(sizes) < count:
            raise BadInputError(label, f"{len(sizes)} recording groups", f"use at most {len(sizes)} folds")
        filled = [0] * count
        for group in sorted(sizes, key=lambda g: (-sizes[g], g)):
            fold = filled.index(min(filled))
            fold_of[label, group] = fold
            filled[fold] += sizes[group]
    return tuple(tuple(c for c in clips if fold_of[c.label, c.group] == fold) for fold in range(count))


def _sizes(clips: Sequence[LabelledClip]) -> dict[str, dict[str, int]]:
    """Clips per label and group."""
    sizes: dict[str, dict[str, int]] = {}
    for clip in clips:
        groups = sizes.setdefault(clip.label, {})
        groups[clip.group] = groups.get(clip.group, 0) + 1
    return sizes
