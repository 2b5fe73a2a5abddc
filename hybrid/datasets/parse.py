"""Strict readers of annotation files: whatever is off is told with file and line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from hybrid.errors import BadInputError
from hybrid.video.transcode_tree import SUFFIXES

LONGEST_NAME = 240
"""Bytes of a file name that every file system takes, with room for another suffix."""


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """(`file:line`, text) of every line that is not blank.

    Raises:
        BadInputError: where the file is missing or is no UTF-8 text.
    """
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def table(path: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """(`file:line`, row) of a CSV file with a header.

    Raises:
        BadInputError: where the file is missing or no CSV, a required column is missing, any column is there
            twice, or a row is too short or too long.
    """
    reader = csv.DictReader(io.StringIO(_text(path)), strict=True)
    try:
        yield from _rows(reader, path, required)
    except csv.Error as error:
        raise BadInputError(f"{path}:{reader.line_num + 1}", f"not CSV: {error}", "download the file again") from error


def _rows(reader: csv.DictReader[str], path: Path, required: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    header = list(reader.fieldnames or ())
    absent = [name for name in required if name not in header]
    if absent:
        raise BadInputError(f"{path}:1", f"the header has no column {absent[0]!r}", f"it needs {', '.join(required)}")
    twice = [name for name in header if name and header.count(name) > 1]
    if twice:
        raise BadInputError(f"{path}:1", f"the header has column {twice[0]!r} twice", "rename or remove one")
    for row in reader:
        where = f"{path}:{reader.line_num}"
        if any(row[name] is None or not row[name].strip() for name in required):
            raise BadInputError(where, "a required column is empty", f"fill {', '.join(required)}")
        if None in row:
            raise BadInputError(where, "it has more fields than the header", "quote the field that holds a comma")
        yield where, {name: (value or "").strip() for name, value in row.items() if name}


def document(path: Path, kind: type) -> Any:
    """A JSON file whose top level is a `kind`.

    Raises:
        BadInputError: where the file is missing, no JSON, or of another kind.
    """
    try:
        data = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise BadInputError(f"{path}:{error.lineno}", f"not JSON: {error.msg}", "download the file again") from error
    except RecursionError as error:
        raise BadInputError(str(path), "its JSON is nested too deeply", "download the file again") from error
    if not isinstance(data, kind):
        raise BadInputError(str(path), f"its top level is no {kind.__name__}", "download the file again")
    return data


def inside(root: Path, relative: str, where: str) -> Path:
    """`root / relative`, refused where it is absolute, climbs out of `root`, or can be no file's name.

    Raises:
        BadInputError: naming the line.
    """
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\\" in relative or "\0" in relative:
        raise BadInputError(where, f"{relative!r} leads out of the data set", "give a path below its folder")
    if not path.name or any(len(part.encode(errors="replace")) > LONGEST_NAME for part in path.parts):
        raise BadInputError(where, f"{relative[:80]!r} can be no file's name", "correct the line")
    return root / path


def any_suffix(path: Path) -> Path:
    """The path itself, or a file beside it that differs in the suffix only, as transcoding makes them."""
    if path.is_file():
        return path
    others = (path.with_name(path.stem + suffix) for suffix in sorted(SUFFIXES))
    return next((other for other in others if other.is_file()), path)


def is_video(path: Path) -> bool:
    """Whether a file is taken for a clip: by its suffix, hidden files (such as `._x.avi`) aside."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInputError(str(path), "there is no such annotation file", "check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(str(path), f"it cannot be read: {error}", "give a UTF-8 text file") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise BadInputError(f"{path}:{line}", "it holds a NUL byte, so it is no text", "download the file again")
    return text
