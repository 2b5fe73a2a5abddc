"""The parent's side of a run: start the guardian, wait, and turn failures into a LavaError."""

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

POLL_S = 0.05
GRACE_S = 10.0
"""How much longer than its command a guardian may take."""
TRACE_LINES = 10
"""Lines of a traceback or a log that an error shows."""
MODULE = "snn_export.lava.worker"


class Supervisor:
    """Runs the Lava worker on a folder, as a context: when it is left, by whatever exception, all is gone.

    Args:
        folder: the folder of the run.
        timeout_s: seconds that the worker may take.
        label: where an error happened, for the user.
    """

    def __init__(self, folder: Path, timeout_s: float, label: str) -> None:
        self._folder, self._timeout_s, self._label = folder, timeout_s, label

    def __enter__(self) -> Supervisor:
        command = [
            # isolated, without site-packages: it starts in 20 ms whatever the environment
            *(sys.executable, "-I", "-S", guard.__file__),
            *(str(self._folder), str(os.getpid()), str(self._timeout_s)),
            *(sys.executable, "-m", MODULE, str(self._folder)),
        ]
        self._guardian = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            bufsize=0, env=_environment(self._folder), start_new_session=True,
        )  # fmt: skip
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

    def run(self, progress: Callable[[int, int], None] | None) -> None:
        """Let the worker run, to its end.

        Args:
            progress: called with the Lava steps complete and in all, when the first changes.

        Raises:
            LavaError: when it fails or takes too long.
        """
        stdin = self._guardian.stdin
        assert stdin is not None
        try:
            stdin.write(b"!")
        except BrokenPipeError:
            raise self._error() from None
        shown, limit = 0, time.monotonic() + self._timeout_s + GRACE_S
        while True:
            try:
                code = self._guardian.wait(POLL_S)
                break
            except subprocess.TimeoutExpired:
                done, total = job.progress(self._folder)
                if progress is not None and done != shown:
                    progress(done, total)
                    shown = done
                if time.monotonic() > limit:
                    raise self._error() from None
        if code:
            raise self._error()
        if progress is not None:
            progress(*job.progress(self._folder))

    def _error(self) -> LavaError:
        """The failure written down by whoever saw it first."""
        path = self._folder / guard.FAILURE
        record = {"what": "the guardian was killed, or does not answer", "fix": "run it again", "trace": ""}
        if path.exists():
            record = json.loads(path.read_text())
        done, total = job.progress(self._folder)
        log = self._folder / guard.LOG
        trace = record["trace"] or (log.read_text(errors="replace") if log.exists() else "")
        tail = "".join(f"\n    | {line}" for line in trace.strip().splitlines()[-TRACE_LINES:])
        what = f"{record['what']}, at step {done} of {total}" if total else record["what"]
        return LavaError(self._label, f"{what}{tail}", record["fix"])


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with this package importable, one thread a process, and temporary files in the run's folder."""
    package = str(Path(snn_export.__file__).parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **threads, "PYTHONPATH": path, "TMPDIR": str(folder)}
