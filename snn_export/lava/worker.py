"""The process that runs Lava: `python -m snn_export.lava.worker FOLDER`, started by the guardian.

It compiles the network once and then does every run that is asked for. It never ends of its own accord, nor
waits for Lava to stop: the guardian ends the whole group.
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
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

from snn_export.lava import job
from snn_export.lava.guard import MAKE_ROOM, ending, report, unlink_segments

POLL_S = 0.001
LOOK_S = 0.05
"""How often the processes of the graph are looked after, which takes a few system calls each."""
LAST_WORDS_S = 2.0
"""How long a process of the graph that reported an error may take to send the exception."""
RANDOM = 8
"""Random digits in a segment's name."""
CHANNEL_SIZE = 2
"""Messages a channel holds: as fast as Lava's default of 64, with a thirtieth of the shared memory."""


def main(folder: Path) -> None:
    """Serve the runs asked for in `folder`, until something fails; failures are written there."""
    try:
        serve(folder)
    except Exception as error:
        trace = getattr(error, "trace", None) or traceback.format_exc()
        full = isinstance(error, OSError) and error.errno == errno.ENOSPC
        fix = MAKE_ROOM if full else "the traceback above ends in the code that failed"
        report(folder, f"{type(error).__name__}: {error}", fix, trace)


def serve(folder: Path) -> None:
    """Build and compile the graph, and do one run after the other.

    Raises:
        Exception: what a process of the graph raised.
        OSError, RuntimeError: when one ended without a word, or the guardian did.
    """
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    network, lowering, steps = job.read(folder)
    # imported here alone: each brings its own part of Lava
    build = importlib.import_module(f"snn_export.lava.{lowering}").build
    clock, timing = build(network, folder, steps)
    state = job.reopen(folder / job.STATE)
    # Lava's compiler executes all files of a process' folder once per process: compile them once. What it imports by
    # itself is imported before, as its byte code is elsewhere; networkx asks for pandas, which nothing here needs.
    importlib.import_module("lava.magma.compiler.compiler")
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
    sys.pycache_prefix, sys.dont_write_bytecode = str(folder / "pycache"), False
    clock.create_runtime(
        run_cfg=Loihi2SimCfg(select_tag="fixed_pt" if network.fixed else "floating_pt"),
        compile_config={"pypy_channel_size": CHANNEL_SIZE},
    )
    watch, end = Watch(multiprocessing.active_children()), 0
    services = clock.runtime.service_to_runtime
    while True:
        watch.until(lambda: bool(state[job.REQUESTED] > state[job.SERVED]))
        gops = int(state[job.GOPS])
        base, total = timing.start(end), timing.steps(gops)
        state[job.BASE], state[job.DONE], state[job.TOTAL] = base, 0, total
        # not blocking: Lava itself would wait for ever for a process that has died
        clock.run(RunSteps(num_steps=base - end + total, blocking=False))
        watch.until(lambda: all(port.probe() for port in services))
        watch.done([port.recv() for port in services])
        end = base + total
        state[job.SERVED] = state[job.REQUESTED]


class Watch:
    """Waits for something while it watches that everybody lives.

    Args:
        children: the processes of the graph.
    """

    def __init__(self, children: list[Any]) -> None:
        self._children, self._guardian = children, os.getppid()

    def until(self, condition: Callable[[], bool]) -> None:
        """Poll until `condition` holds; raises what ended a process of the graph."""
        look = time.monotonic()
        while not condition():
            time.sleep(POLL_S)
            if time.monotonic() < look:
                continue
            for child in self._children:
                _check(child)
            if os.getppid() != self._guardian:
                raise RuntimeError("the guardian was killed")
            look = time.monotonic() + LOOK_S

    def done(self, answers: list[Any]) -> None:
        """Check what the runtime services answered at the end of a run; an error is on its way to us."""
        from lava.magma.runtime.mgmt_token_enums import MGMT_RESPONSE, enum_equal

        if all(enum_equal(answer, MGMT_RESPONSE.DONE) for answer in answers):
            return
        limit = time.monotonic() + LAST_WORDS_S
        self.until(lambda: time.monotonic() > limit)
        raise RuntimeError(f"Lava's runtime answered {answers}")


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


def name_segments(folder: Path) -> None:
    """Let the shared memory of this process and its forks bear the folder's name, so that it can be found.

    Both names are inside of Python 3.10's multiprocessing; Lava exists for that version only.
    """
    prefix = f"/{folder.name}-"
    shared_memory._SHM_NAME_PREFIX = prefix  # type: ignore[attr-defined]
    shared_memory._SHM_SAFE_NAME_LENGTH = len(prefix) + RANDOM  # type: ignore[attr-defined]
    multiprocessing.current_process()._config["semprefix"] = f"{prefix}mp"  # type: ignore[attr-defined]


def leave(guardian: int, folder: Path) -> None:
    """End this process, and the whole group with its shared memory where nobody is left to do it."""
    if os.getppid() != guardian:
        unlink_segments(folder)
        os.killpg(0, signal.SIGKILL)
    # not sys.exit: multiprocessing would join the processes of the graph, which never end
    os._exit(1)


if __name__ == "__main__":
    guardian = os.getppid()
    try:
        name_segments(Path(sys.argv[1]))
        main(Path(sys.argv[1]))
    except BaseException:
        traceback.print_exc()
    finally:
        leave(guardian, Path(sys.argv[1]))
