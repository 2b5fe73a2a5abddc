"""Points on disk: one JSON line each as they come, and a CSV of all at the end."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from hybrid.errors import BadInputError
from hybrid.files import make_folder, write_aside, writing
from hybrid.sweep.record import Point

POINTS, TABLE = "points.jsonl", "points.csv"


class Append(Protocol):
    """Writes one point; it is on disk when this returns."""

    def __call__(self, point: Point) -> None:
        """Append a line."""


def read_points(folder: Path) -> dict[str, Point]:
    """The points in a folder by key; a last line that a killed run left unfinished is cut off.

    Raises:
        BadInputError: for a folder that is a file, or a line that is no point.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInputError(str(folder), "it is a file", "choose a folder for the points")
    file = folder / POINTS
    if not file.is_file():
        return {}
    data = file.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(file, whole)
    found = {}
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            point = Point.model_validate_json(line)
        except ValidationError as error:
            what = f"it is no point of a sweep: {error.errors()[0]['msg']}"
            raise BadInputError(f"{file}, line {number}", what, "remove the line, or choose another folder") from error
        found[point.key] = point
    return found


@contextmanager
def appending(folder: Path) -> Iterator[Append]:
    """Open the points of a folder to append to; each is written whole or not at all.

    Raises:
        HybridError: where it cannot be made, or a point cannot be written.
    """
    make_folder(folder)
    path = folder / POINTS
    with writing(path):
        file = path.open("ab", buffering=0)
    with file:

        def append(point: Point) -> None:
            data, end = (point.model_dump_json() + "\n").encode(), file.seek(0, os.SEEK_END)
            with writing(path):
                try:
                    while data:
                        data = data[file.write(data) :]
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise

        yield append


def write_table(points: Sequence[Point], front: Sequence[Point], folder: Path) -> Path:
    """Write all points as CSV, a column for each number; returns the path."""
    text, best = io.StringIO(newline=""), {point.key for point in front}
    rows = [flat(point) | {"front": int(point.key in best)} for point in points]
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["key"])
    writer.writeheader()
    writer.writerows(rows)
    write_aside(folder / TABLE, text.getvalue().encode())
    return folder / TABLE


def flat(point: Point) -> dict[str, Any]:
    """A point as a row of numbers and words."""
    row: dict[str, Any] = {}
    for name, value in point.model_dump(exclude={"subject"}).items():
        if name in ("energy_j", "latency_s"):
            row |= {f"{name}_{edge}": None if value is None else value[edge] for edge in ("low", "nominal", "high")}
        else:
            row[name] = " ".join(value) if isinstance(value, tuple) else value
    return row
