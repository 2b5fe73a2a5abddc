"""The guardian: runs one command in a session of its own, as long as its parent lives, and leaves nothing behind.

    python -I -S guard.py FOLDER PARENT_PID COMMAND...

It stands in a session of its own too: whatever signal ends the parent, SIGKILL included, the guardian lives
to clean up. It starts COMMAND when it reads a byte from its standard input, and ends the command's whole
process group when the command exits or reports a failure, or when the parent is gone or has had enough, which
shows as the end of standard input. Then it unlinks the shared memory of the group, which bears the folder's name:
nobody else would, since Python's resource tracker dies with the group. If the parent is gone it removes FOLDER too.
Where the guardian is killed as well, the next run does all this: the two of them hold a lock on FOLDER.

Started by path, with the standard library only: it must not fail, and not wait for numpy. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

FAILURE, LOG = "failure.json", "lava.log"
POLL_S = 0.05
MAKE_ROOM = "make room in /dev/shm (in a container: --shm-size) and in the temporary folder"
END_S = 5.0
"""How long killed processes may take to vanish."""
SHARED = Path("/dev/shm")
PR_SET_CHILD_SUBREAPER = 36


def report(folder: Path, what: str, fix: str, trace: str = "") -> None:
    """Write down why the run failed, once: the first failure is the cause of the others."""
    part = folder / f"failure.{os.getpid()}"
    part.write_text(json.dumps({"what": what, "fix": fix, "trace": trace}))
    # a link appears whole, and never replaces one that is there
    with contextlib.suppress(FileExistsError):
        os.link(part, folder / FAILURE)


def ending(code: int) -> str:
    """How a process ended, from its exit code as subprocess gives it."""
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class Guardian:
    """Watches one command.

    Args:
        folder: the folder of the run, for the log and the failure.
        parent: process id of the parent.
    """

    def __init__(self, folder: Path, parent: int) -> None:
        self.folder, self.parent = folder, parent
        self.signal = 0

    def hear(self) -> bytes | None:
        """One byte from the parent, b"" when it is gone, None when it says nothing for a moment."""
        if os.getppid() != self.parent:  # a sibling may hold the other end of the pipe open
            return b""
        ready, _, _ = select.select([0], [], [], POLL_S)
        return os.read(0, 1) if ready else None

    def run(self, command: list[str]) -> None:
        """Run the command to its end."""
        word = None
        while word is None and not self.signal:
            word = self.hear()
        if not word:
            return
        with (self.folder / LOG).open("wb") as log:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip
        try:
            self.watch(child.pid)
        finally:
            self.end(child.pid)

    def watch(self, leader: int) -> None:
        """Poll until there is a reason to end the group."""
        while True:
            word = self.hear()
            # not reaped yet: as long as the leader is there, nobody else can get its group's number
            exited = os.waitid(os.P_PID, leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if word == b"":
                return
            if exited is not None:
                code = exited.si_status if exited.si_code == os.CLD_EXITED else -exited.si_status
                fix = MAKE_ROOM if code == -signal.SIGBUS else "see the end of its log above"
                report(self.folder, f"the Lava process ended with {ending(code)}", fix)
                return
            if self.signal:
                report(self.folder, f"the guardian got {signal.Signals(self.signal).name}", "run it again")
            if (self.folder / FAILURE).exists():
                return

    def end(self, leader: int) -> None:
        """Kill the group, wait until it is gone, and unlink its shared memory."""
        signal_group(leader, signal.SIGKILL)
        deadline = time.monotonic() + END_S
        while any(members(leader)) and time.monotonic() < deadline:
            reap()
            time.sleep(POLL_S / 10)
        reap()
        unlink_segments(self.folder)


def members(leader: int) -> Iterator[int]:
    """Process ids of the living processes in a group."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, _, group = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state not in "ZX":
                yield int(name)


def segments_of(folder: Path) -> list[Path]:
    """Shared memory and semaphores of the runtime in a folder; the worker names them so."""
    names = (f"{folder.name}-", f"sem.{folder.name}-")
    return [SHARED / name for name in os.listdir(SHARED) if name.startswith(names)] if SHARED.is_dir() else []


def unlink_segments(folder: Path) -> None:
    """Remove the shared memory of the runtime in a folder."""
    for segment in segments_of(folder):
        segment.unlink(missing_ok=True)


def signal_group(leader: int, number: int) -> None:
    """Send a signal to every process of a group, if there is one."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)


def reap() -> None:
    """Collect every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def main() -> None:
    """Guard the command given on the command line."""
    folder, parent, *command = sys.argv[1:]
    # processes of the group whose parent dies become our children, so that we see them end
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    guardian = Guardian(Path(folder), int(parent))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: setattr(guardian, "signal", got))
    try:
        guardian.run(command)
    finally:
        with contextlib.suppress(OSError):
            if os.getppid() != int(parent) or guardian.hear() == b"":
                shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
