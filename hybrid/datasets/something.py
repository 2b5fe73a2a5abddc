"""Something-Something V2: `id.webm`, a JSON of labels and one of objects per split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hybrid.datasets.parse import any_suffix, document, inside
from hybrid.datasets.records import DataSet, Entry, LabelledClip, Missing, collect
from hybrid.errors import BadInputError

PREFIX = "something-something-v2"


def something_something(root: Path, annotations: Path, *, missing: Missing = "fail", check: bool = False) -> DataSet:
    """Load the training and validation parts (the test part has no labels).

    Args:
        root: the folder with the clips.
        annotations: the folder with `something-something-v2-labels.json`, `-train.json` and `-validation.json`.
        missing: what to do with a listed clip that is not there.
        check: open every clip.

    Raises:
        BadInputError: for malformed annotations, naming file and object, and as `collect` does.
    """
    path = annotations / f"{PREFIX}-labels.json"
    numbered = document(path, dict)
    if sorted(map(repr, numbered.values())) != sorted(repr(str(i)) for i in range(len(numbered))):
        raise BadInputError(str(path), "its values are not the numbers from 0 on", "download the file again")
    classes = sorted(numbered, key=lambda label: int(numbered[label]))
    entries: list[Entry] = []
    for split in ("train", "validation"):
        entries += _entries(root, annotations / f"{PREFIX}-{split}.json", split)
    return collect("Something-Something V2", classes, entries, missing=missing, check=check)


def _entries(root: Path, path: Path, split: str) -> Iterator[Entry]:
    for number, item in enumerate(document(path, list)):
        where = f"{path}: $[{number}]"
        if not (isinstance(item, dict) and all(isinstance(item.get(key), str) for key in ("id", "template"))):
            raise BadInputError(where, "it has no `id` and `template`", "download the file again")
        label = item["template"].replace("[", "").replace("]", "")
        file = any_suffix(inside(root, f"{item['id']}.webm", where))
        yield Entry(LabelledClip(file, label, item["id"], split), where)
