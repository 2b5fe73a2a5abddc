"""Build all tables: `python -m benchmarks.tables [--out runs/tables] [--measure] [--rows NAME ...]`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from hybrid.errors import HybridError

INTERRUPTED = 130


def main() -> None:
    """Run, and turn errors into one clear message and an exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options = parse()
        from benchmarks.tables.command import run  # after the options: torch takes seconds to load

        run(options.out, options.rows, options.measure)
    except HybridError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; no half-written file is left\n")
        sys.exit(INTERRUPTED)


def parse() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/tables"), help="folder of the files")
    parser.add_argument("--measure", action="store_true", help="videos per second of every method here (minutes)")
    parser.add_argument("--rows", nargs="+", default=[], metavar="NAME", help="only these methods and switches")
    return parser.parse_args()


if __name__ == "__main__":
    main()
