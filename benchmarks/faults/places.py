"""Places where a command cannot do its work, or finds the clock changed: a clear error, nothing half-written, no loss.

They are real: small file systems in memory, mounts that may not be written, a clock that jumps. Mounts need a mount
namespace (`unshare`); the campaign moves into one.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

from benchmarks.faults.commands import OUT, Command
from benchmarks.faults.leftovers import broken, segments
from benchmarks.faults.life import GONE_S, RUN_S, Lab, differences, end, left

INSIDE = "HYBRID_FAULTS_NAMESPACE"
ROOM = 2**30
PAGE = 4096
SHARED_BYTES = 160 * 1024
"""Of a /dev/shm that is nearly full: enough for some semaphores."""
CLOCK = """
import time
began, real = time.time(), time.time
time.time = lambda: real() - (86400 if real() > began + 1 else 0)
"""
"""A clock that is set back by a day one second after the start, for whatever Python asks it."""
YEAR_S = 365 * 86400


@dataclass
class Case:
    """A command in a place, and what was found.

    Attributes:
        command: which one.
        place: in words.
        code: how the command ended.
        says: its error, where there is one.
        faults: what is wrong; empty where the place was survived.
    """

    command: str
    place: str
    code: int | None = None
    says: str = ""
    faults: list[str] = field(default_factory=list)


Place = Callable[[Lab, Command, random.Random], Case]


def move_into_namespace() -> None:
    """Start this program again in a mount namespace of its own, unless it is in one; returns there.

    Raises:
        RuntimeError: where none can be made.
    """
    if os.environ.get(INSIDE):
        return
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if subprocess.run([*own, "true"], check=False, capture_output=True).returncode:
        raise RuntimeError("no mount namespace can be made here")
    _again([*own, sys.executable, "-m", "benchmarks.faults", *sys.argv[1:]])


def _again(command: list[str]) -> NoReturn:
    os.execvpe(command[0], command, os.environ | {INSIDE: "1"})


def places() -> tuple[Place, ...]:
    """Every place that a command can be put into."""
    full = (partial(_full, share=share) for share in (0.02, 0.3, 0.6, 0.95))
    return (*full, _read_only, _little_shared_memory, _clock_back, _from_the_future)


def _full(lab: Lab, command: Command, rng: random.Random, share: float) -> Case:
    """A disk that has room for a share of what the command writes."""
    case, folder = Case(command.name, f"a disk with room for {share:.0%}"), lab.folder(command)
    room = int(share * lab.bytes[command.name]) // PAGE * PAGE
    with mounted(folder / OUT, f"size={ROOM}"):
        before, used = segments(), lab.fill(command, folder)
        _remount(folder / OUT, f"size={max(PAGE, used + room)}")
        _run(lab, command, folder, case, before)
        case.faults += _refused(case, "No space left on device")
        _remount(folder / OUT, f"size={ROOM}")
        case.faults += end(lab, command, folder, before)
    return case


def _read_only(lab: Lab, command: Command, rng: random.Random) -> Case:
    case, folder = Case(command.name, "a folder that may not be written"), lab.folder(command)
    with mounted(folder / OUT, f"size={ROOM}"):
        before = segments()
        lab.fill(command, folder)
        _remount(folder / OUT, "ro")
        _run(lab, command, folder, case, before)
        case.faults += _refused(case, "Read-only file system")
        _remount(folder / OUT, "rw")
        case.faults += end(lab, command, folder, before)
    return case


def _little_shared_memory(lab: Lab, command: Command, rng: random.Random) -> Case:
    case, folder = Case(command.name, "a /dev/shm that is nearly full"), lab.folder(command)
    with mounted(Path("/dev/shm"), f"size={SHARED_BYTES}"):
        before = segments()
        lab.fill(command, folder)
        _run(lab, command, folder, case, before)
        if case.code != 0:  # not all need it
            case.faults += _refused(case, "/dev/shm")
    case.faults += end(lab, command, folder, segments())
    return case


def _clock_back(lab: Lab, command: Command, rng: random.Random) -> Case:
    case, folder = Case(command.name, "a clock that is set back by a day"), lab.folder(command)
    before = segments()
    lab.fill(command, folder)
    (folder / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join([str(folder), lab.base["PYTHONPATH"]])
    _run(lab, command, folder, case, before, {"PYTHONPATH": path})
    if case.code == 0:
        case.faults += differences(command.result(folder / OUT), lab.truth[command.name])
    else:
        case.faults.append(f"exit code {case.code}: {case.says}")
    return case


def _from_the_future(lab: Lab, command: Command, rng: random.Random) -> Case:
    """A run that was killed while the clock was a year ahead; the next one finds files that are newer than now."""
    case, folder = Case(command.name, "files of a killed run from the future"), lab.folder(command)
    before = segments()
    lab.fill(command, folder)
    started = lab.begin(command, folder, cold=not command.warm)
    started.wait(rng.uniform(0.5, 1.0) * lab.took[command.name][not command.warm])
    started.send(9, True)
    case.code = started.wait(GONE_S)
    started.gone(GONE_S)
    moment = time.time() + YEAR_S
    for path in [folder / OUT, *(folder / OUT).rglob("*")]:
        os.utime(path, (moment, moment))
    case.faults += end(lab, command, folder, before)
    return case


def _run(
    lab: Lab, command: Command, folder: Path, case: Case, before: set[str], extra: dict[str, str] | None = None
) -> None:
    cold = extra is not None or not command.warm
    started = lab.begin(command, folder, cold=cold, extra=extra or {})
    case.code = started.wait(RUN_S)
    case.says = started.stderr.read_text(errors="replace").strip()[-8000:]
    if case.code is None:
        case.faults.append(f"it is not done after {RUN_S:g} s")
        started.send(9, True)
        started.wait(GONE_S)
    case.faults += [f"a process is left: {line}" for line in started.gone(GONE_S)]
    case.faults += [f"half-written: {line}" for line in broken(folder / OUT)]
    case.faults += left(folder, before)


def _refused(case: Case, reason: str) -> list[str]:
    """What is wrong with how a command says that it cannot work here: one error of three parts, exit code 1."""
    text = case.says
    good = case.code == 1 and text.count("error: ") == 1 and reason in text and "where:" in text and "fix:" in text
    if good and "Traceback" not in text and "this is a bug" not in text:
        return []
    return [f"exit code {case.code}, and it says: {text}"]


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory, mounted on a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
