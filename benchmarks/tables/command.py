"""What the command does: count, plan, time, write, and print what explains each difference."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from rich.console import Console
from rich.table import Table as Sheet

from benchmarks.tables.build import build, select
from benchmarks.tables.render import write_all
from benchmarks.tables.rows import Row
from hybrid.cli.common import progress
from hybrid.errors import BadInputError


def run(out: Path, names: Collection[str], timed: bool) -> None:
    """Build the tables of some rows, or of all, into a folder.

    Raises:
        BadInputError: for a name that no row has, or a folder that cannot be written.
    """
    check_writable(out)
    with progress() as tell:
        tell("count", 0, 1)
        selection = select(names)
        tables = build(selection, timed, tell)
    console = Console(width=150)
    console.print(overview(selection.methods))
    rows = [row for table in selection.tables.values() for row in table]
    for path in write_all(tables, rows, out):
        console.print(str(path), highlight=False, soft_wrap=True)


def check_writable(out: Path) -> None:
    """Before minutes of work, whether the files can be written at its end.

    Raises:
        BadInputError: where they cannot.
    """
    base = next(path for path in (out, *out.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=base):
            pass
    except OSError as error:
        what = f"no files can be written there: {error.strerror}"
        raise BadInputError(str(out), what, "choose another --out") from error


def overview(rows: list[Row]) -> Sheet:
    """Energy of every method next to the paper's, and what explains the difference."""
    sheet = Sheet("method", "J/V", "paper", "difference", "what gives the paper's figure")
    for row in rows:
        sheet.add_row(
            row.method.name, f"{row.joules:.3f}", f"{row.stated.joules}", f"{row.difference():+.1%}", row.verdict
        )
    return sheet
