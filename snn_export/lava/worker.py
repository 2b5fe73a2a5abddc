"""The process that runs Lava: `python -m snn_export.lava.worker FOLDER`, started by the guardian.

Exits 0 when everything is recorded. It never waits for Lava to stop: the guardian ends the whole group.
"""

from __future__ import annotations

import errno
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from snn_export.lava import job
from snn_export.lava.guard import MAKE_ROOM, ending, report, segments_of

POLL_S = 0.01
CHANNEL_SIZE = 2
"""Messages a channel holds: as fast as Lava's default of 64, with a thirtieth of the shared memory."""


def main(folder: Path) -> int:
    """Run the job in `folder`; failures are written there."""
    try:
        run(folder)
    except Exception as error:
        trace = getattr(error, "trace", None) or traceback.format_exc()
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        fix = MAKE_ROOM if full else "the traceback above ends in the code that failed"
        report(folder, f"{type(error).__name__}: {error}", fix, trace)
        return 1
    return 0


def run(folder: Path) -> None:
    """Build, compile and run the graph, and return once its last step is recorded.

    Raises:
        Exception: what a process of the graph raised.
        OSError, RuntimeError: when one ended without a word.
    """
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    network, lowering, gops, steps = job.read(folder)
    # imported here alone: each brings its own part of Lava
    build = importlib.import_module(f"snn_export.lava.{lowering}").build
    clock, total = build(network, folder, gops, steps)
    progress = job.reopen(folder / job.PROGRESS)
    progress[1] = total
    clock.create_runtime(
        run_cfg=Loihi2SimCfg(select_tag="fixed_pt" if network.fixed else "floating_pt"),
        compile_config={"pypy_channel_size": CHANNEL_SIZE},
    )
    children, guardian = multiprocessing.active_children(), os.getppid()
    # not blocking: Lava itself would wait for ever for a process that has died
    clock.run(RunSteps(num_steps=total, blocking=False))
    while progress[0] < total:
        for child in children:
            _check(child)
        if os.getppid() != guardian:
            raise RuntimeError("the guardian was killed")
        time.sleep(POLL_S)


def _check(child: Any) -> None:
    """Raise what a process of the graph raised, with its traceback as text, or say how it died."""
    raised = getattr(child, "exception", None)
    if raised:
        error, error.trace = raised
        raise error
    if not child.is_alive():
        if child.exitcode == -signal.SIGBUS:  # a page of mapped memory that the file system cannot give
            raise OSError(errno.ENOSPC, "a process of the Lava graph was killed for lack of shared memory")
        raise RuntimeError(f"a process of the Lava graph ended with {ending(child.exitcode)}")


def leave(guardian: int, code: int) -> None:
    """End this process, and the whole group with its shared memory where nobody is left to do it."""
    if os.getppid() != guardian:
        for segment in segments_of(os.getpid()):
            Path(segment).unlink(missing_ok=True)
        os.killpg(0, signal.SIGKILL)
    # not sys.exit: multiprocessing would join the processes of the graph, which never end
    os._exit(code)


if __name__ == "__main__":
    guardian, code = os.getppid(), 1
    try:
        code = main(Path(sys.argv[1]))
    except BaseException:
        traceback.print_exc()
    finally:
        leave(guardian, code)
