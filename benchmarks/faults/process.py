"""Start a command in a session of its own, with a mark in its environment by which all its processes are found."""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MARK = "HYBRID_FAULTS"
"""The environment variable; every child inherits it."""
POLL_S = 0.005
# the group's signals too: a background job of a shell ignores Ctrl-C, and so would its children
PRELUDE = "import os,signal,sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


@dataclass
class Started:
    """A command that runs.

    Attributes:
        pid: its first process, which leads its session.
        mark: what all its processes have in their environment.
        stderr: the file that it writes its errors to.
    """

    pid: int
    mark: str
    stderr: Path
    _process: subprocess.Popen[bytes] | None = None
    _warm: Warm | None = None
    _code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._process.poll() if self._process else self._warm.answer(0) if self._warm else None
        return self._code

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, or None when it still runs after that time."""
        limit = time.monotonic() + timeout_s
        while self.poll() is None and time.monotonic() < limit:
            time.sleep(POLL_S)
        return self._code

    def send(self, number: int, everyone: bool) -> None:
        """A signal to its first process, or to every one at once."""
        with suppress(ProcessLookupError):
            if everyone and number == signal.SIGKILL:
                for pid in self.alive():
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)
            elif everyone:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)

    def alive(self) -> list[int]:
        """Its processes that live: those of its session, and those with its mark."""
        return [pid for pid, session in processes() if session == self.pid or _marked(pid, self.mark)]

    def gone(self, timeout_s: float) -> list[str]:
        """Command lines of what still lives after that time."""
        limit = time.monotonic() + timeout_s
        while (left := self.alive()) and time.monotonic() < limit:
            time.sleep(10 * POLL_S)
        return [f"{pid}: {command_line(pid)}" for pid in left]


@dataclass
class Warm:
    """A process with everything imported, from which commands are forked; see `zygote`."""

    environment: dict[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __enter__(self) -> Warm:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.zygote"], cwd=ROOT, env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self.answer(None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def order(self, order: dict[str, Any]) -> int:
        """Start a command; its process id."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(order) + "\n").encode())
        return int(self.answer(None))

    def answer(self, timeout_s: float | None) -> Any:
        """The next line, or None where there is none within that time."""
        assert self._process is not None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout_s)[0]:
            return None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that starts the commands has ended")
        return json.loads(line)


def environment(home: Path) -> dict[str, str]:
    """Ours, with this tree's packages; byte code is kept in a folder of the campaign where it is kept nowhere else."""
    found = dict(os.environ)
    if found.pop("PYTHONDONTWRITEBYTECODE", None):
        found.setdefault("PYTHONPYCACHEPREFIX", str(home / "bytecode"))
    return found | {"PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}


def start(
    arguments: list[str], folder: Path, extra: dict[str, str], warm: Warm | None, base: dict[str, str],
    within: tuple[str, ...] = (),
) -> Started:  # fmt: skip
    """Start `hybrid` with some arguments.

    Args:
        arguments: of the command line.
        folder: to run in; its output goes to `stdout` and `stderr` there.
        extra: environment variables.
        warm: where to fork from; a new interpreter without.
        base: the environment otherwise.
        within: a command that runs it, such as `unshare`.
    """
    mark = secrets.token_hex(8)
    extra = extra | {MARK: mark}
    files = {name: folder / name for name in ("stdout", "stderr")}
    if warm is not None:
        order = {"arguments": arguments, "folder": str(folder), "environment": extra}
        pid = warm.order(order | {name: str(path) for name, path in files.items()})
        return Started(pid, mark, files["stderr"], _warm=warm)
    command = [*within, sys.executable, "-m", "hybrid", *arguments]
    with files["stdout"].open("wb") as out, files["stderr"].open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", PRELUDE, *_absolute(command)], cwd=folder, env=base | extra,
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
    return Started(process.pid, mark, files["stderr"], _process=process)


def processes() -> Iterator[tuple[int, int]]:
    """Process id and session of everything that lives."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    yield int(name), int(fields[3])


def command_line(pid: int) -> str:
    """What a process was started with."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def _marked(pid: int, mark: str) -> bool:
    with suppress(OSError):
        return f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    return False


def _absolute(command: list[str]) -> list[str]:
    return [shutil.which(command[0]) or command[0], *command[1:]]
