"""Build all tables: `python -m benchmarks.tables [--out runs/tables] [--measure] [--rows NAME ...]`."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table as Sheet

from benchmarks.tables.build import build, select
from benchmarks.tables.render import write_all
from benchmarks.tables.rows import Row
from hybrid.cli.common import INTERRUPTED, err, progress
from hybrid.errors import BadInputError, HybridError


def main() -> None:
    """Run, and turn errors into one clear message and an exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run()
    except HybridError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("stopped; no half-written file is left", markup=False)
        sys.exit(INTERRUPTED)


def run() -> None:
    """Count, plan, time, write, and print what explains each difference."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="folder of the files")
    parser.add_argument("--measure", action="store_true", help="videos per second of every method here (minutes)")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these methods and switches")
    options = parser.parse_args()
    check_writable(options.out)
    with progress() as tell:
        tell("count", 0, 1)
        selection = select(options.rows)
        tables = build(selection, options.measure, tell)
    console = Console(width=150)
    console.print(overview(selection.methods))
    rows = [row for table in selection.tables.values() for row in table]
    for path in write_all(tables, rows, options.out):
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
        raise BadInputError(
            str(out), f"no files can be written there: {error.strerror}", "choose another --out"
        ) from error


def overview(rows: list[Row]) -> Sheet:
    """Energy of every method next to the paper's, and what explains the difference."""
    sheet = Sheet("method", "J/V", "paper", "difference", "what gives the paper's figure")
    for row in rows:
        sheet.add_row(
            row.method.name, f"{row.joules:.3f}", f"{row.stated.joules}", f"{row.difference():+.1%}", row.verdict
        )
    return sheet


if __name__ == "__main__":
    main()
