"""The command line: `hybrid COMMAND`. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import os
import sys

from hybrid.allocator import keep_freed_memory
from hybrid.cli import (  # noqa: F401 (each registers its commands)
    bundles,
    deploy,
    doctor,
    report,
    run,
    simulate,
    sweep,
    training,
    video,
)
from hybrid.cli.common import State, app, err
from hybrid.cli.stopping import Stop
from hybrid.cluster import connected

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: run the command and turn errors into one clear message and an exit code."""
    # Two torch threads on a busy machine otherwise spin at OpenMP barriers, which can cost a factor of fifty.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    stop = Stop()
    stop.listen()
    try:
        app()
    except Exception as error:
        if stop.code is not None:
            return  # what a library made of the exception that was to end it
        if State.debug:
            raise
        if all(hasattr(error, name) for name in ("where", "what", "fix", "exit_code")):
            err.print(f"error: {error}", style="red", markup=False, highlight=False)
            sys.exit(error.exit_code)  # type: ignore[attr-defined]
        err.print(
            f"error: {type(error).__name__}: {error}\n  this is a bug; run with --debug for the traceback",
            markup=False,
        )
        sys.exit(1)
    finally:
        stop.end()
        if stop.code is not None:
            if connected():  # still, since it was left as it was: Ray would end this process with a code of its own
                sys.stdout.flush()
                os._exit(stop.code)
            sys.exit(stop.code)
