"""The parent's side of a Lava runtime: start the guardian, wait for runs, and turn failures into a LavaError."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import snn_export
from snn_export.lava import guard, job
from snn_export.lava.errors import LavaError
from snn_export.network import IntArray

POLL_S = 0.001
GRACE_S = 10.0
"""How long a guardian may take to end what it guards."""
TRACE_LINES = 10
"""Lines of a traceback or a log that an error shows."""
MODULE = "snn_export.lava.worker"


class Supervisor:
    """Runs the Lava worker on a folder, as a context: when it is left, by whatever exception, all is gone.

    Args:
        folder: the folder of the runtime.
        lock: open handle that locks it; the guardian holds it too.
        state: its state, mapped.
        timeout_s: seconds that one run may take.
        label: where an error happened, for the user.
    """

    def __init__(self, folder: Path, lock: int, state: IntArray, timeout_s: float, label: str) -> None:
        self._folder, self._lock, self._state = folder, lock, state
        self._timeout_s, self._label = timeout_s, label

    def __enter__(self) -> Supervisor:
        command = [
            # isolated, without site-packages: it starts in 20 ms whatever the environment
            *(sys.executable, "-I", "-S", guard.__file__),
            *(str(self._folder), str(os.getpid())),
            *(sys.executable, "-m", MODULE, str(self._folder)),
        ]
        self._guardian = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            bufsize=0, env=_environment(self._folder), start_new_session=True,
            pass_fds=(self._lock,),
        )  # fmt: skip
        assert self._guardian.stdin is not None
        self._guardian.stdin.write(b"!")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._guardian.stdin is not None
        # if it still runs it takes this for our death and cleans up; the signal is for the case that another
        # child of ours, forked meanwhile, holds the pipe open
        self._guardian.stdin.close()
        self._guardian.terminate()
        try:
            self._guardian.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()

    def run(self, gops: int, began: float, progress: Callable[[int, int], None] | None) -> None:
        """Let the worker do the next run, to its end.

        Args:
            gops: how many GOPs its files hold.
            began: when its time began to count, on the monotonic clock.
            progress: called with the Lava steps complete and in all, when the first changes.

        Raises:
            LavaError: when it fails or takes too long.
        """
        state, shown = self._state, 0
        state[job.GOPS], state[job.DONE], state[job.TOTAL] = gops, 0, 0
        state[job.REQUESTED] += 1
        while state[job.SERVED] < state[job.REQUESTED]:
            if self._guardian.poll() is not None:
                raise self._error("the guardian was killed", "run it again")
            if time.monotonic() > began + self._timeout_s:
                raise self._error(f"not done after {self._timeout_s:g} s", "allow it more time")
            done = int(state[job.DONE])
            if progress is not None and done != shown:
                progress(done, int(state[job.TOTAL]))
                shown = done
            time.sleep(POLL_S)
        if progress is not None:
            progress(int(state[job.DONE]), int(state[job.TOTAL]))

    def _error(self, what: str, fix: str) -> LavaError:
        """The failure written down by whoever saw it first, else the one given."""
        path = self._folder / guard.FAILURE
        record = {"what": what, "fix": fix, "trace": ""}
        if path.exists():
            record = json.loads(path.read_text())
        done, total = int(self._state[job.DONE]), int(self._state[job.TOTAL])
        log = self._folder / guard.LOG
        trace = record["trace"] or (log.read_text(errors="replace") if log.exists() else "")
        tail = "".join(f"\n    | {line}" for line in trace.strip().splitlines()[-TRACE_LINES:])
        what = f"{record['what']}, at step {done} of {total}" if total else record["what"]
        return LavaError(self._label, f"{what}{tail}", record["fix"])


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with this package importable, one thread a process, and temporary files in the runtime's folder."""
    package = str(Path(snn_export.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": path, "TMPDIR": str(folder)}
