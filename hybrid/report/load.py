"""Read a run's report back, or say what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hybrid.errors import BadInputError
from hybrid.report.model import SCHEMA_VERSION, Report

REPORT = "report.json"
PARTS = ("videos.jsonl", "run.json")
"""What a run writes before its report."""


def load_report(path: Path) -> Report:
    """The report of a run's folder, or of a `report.json`.

    Raises:
        BadInputError: for a folder without one, an unfinished run, a newer schema, or a file of another kind.
    """
    file = path / REPORT if path.is_dir() else path
    if not file.is_file():
        raise _missing(path)
    try:
        data: Any = json.loads(file.read_text())
        version = data.get("schema_version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            what = f"the report has schema version {version}; this program reads up to {SCHEMA_VERSION}"
            raise BadInputError(str(file), what, "use the version of hybrid-snn that wrote it, or a newer one")
        return Report.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = f"it is no report of ours: {place or 'the top level'}: {first['msg']}"
        raise BadInputError(str(file), what, "run the videos again") from error
    except (ValueError, OSError) as error:
        what = f"the report cannot be read, it may be half written: {error}"
        raise BadInputError(str(file), what, "run the videos again; finished ones are not run twice") from error


def _missing(path: Path) -> BadInputError:
    if any((path / name).is_file() for name in PARTS):
        lines = path / PARTS[0]
        done = lines.read_bytes().count(b"\n") if lines.is_file() else 0
        fix = "run the same `hybrid run` command again: it goes on where it was"
        return BadInputError(str(path), f"the run is not finished: it has {done:,} videos and no report yet", fix)
    if path.is_dir():
        return BadInputError(str(path), f"it holds no {REPORT}", "give a folder that `hybrid run` wrote, or a bundle")
    return BadInputError(str(path), "there is no such run", "give a folder that `hybrid run` wrote, or a bundle")
