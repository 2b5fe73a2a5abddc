"""A small process that outlives its parent by a moment, to end what the parent started and to remove its folder.

Run as a script of the standard library alone: `python -I -S guard.py FOLDER`, with a pipe as standard input. When the
parent closes the pipe, or dies in whatever way, every process that has a file of the folder open is killed (but for
the parent), and the folder is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

TRIES = 50
"""How often, ten times a second, it looks for processes that are left."""


def main() -> None:
    """Wait for the end of the pipe, then clean up."""
    folder, parent = sys.argv[1], os.getppid()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for _ in range(TRIES):
        left = [process for process in users(folder) if process not in (parent, os.getpid())]
        if not left:
            break
        for process in left:
            _kill(process)
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def users(folder: str) -> list[int]:
    """Processes of ours that have a file below a folder open; none where there is no /proc to tell."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _uses(entry, folder + os.sep)]


def _uses(process: Path, prefix: str) -> bool:
    try:
        return any(os.readlink(link).startswith(prefix) for link in (process / "fd").iterdir())
    except OSError:  # it has ended, or is not ours
        return False


def _kill(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main()
