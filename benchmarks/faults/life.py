"""One life of an output: its command is killed at random moments until one run of it ends undisturbed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.faults.commands import OUT, Command
from benchmarks.faults.leftovers import broken, leaked, segments, temporary
from benchmarks.faults.process import Started, Warm, start

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
CODES = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15, -6), signal.SIGINT: (130, -2, -6)}
"""How a command may end: the signal's code; by the signal itself, before Python is ready; or by an abort, where the
exception met C++ code of torch that lets none pass."""
STOP_S = 20.0
"""How long a command that is told to end may take, on a machine with other work."""
GONE_S = 20.0
"""How long other processes of a command may outlive it: a loader of torch looks after its parent every 5 s."""
RUN_S = 300.0
AT_CHANGE = 0.5
"""Share of the kills that wait for the output to change: writing takes a small part of the time."""
CHANGES, SOON_S = 8, 0.02
"""Up to how many changes are waited for, and how long after the last of them the signal is sent at most."""
COLD = 0.1
"""Share of the starts of a command that are not by fork."""


@dataclass
class Kill:
    """One kill and what was found after it.

    Attributes:
        command: which one.
        signal: its name.
        everyone: whether all processes got it, or the first alone.
        at_s: seconds after the start.
        of_s: seconds that an undisturbed run takes.
        cold: whether imports were to be made first.
        at_change: the kill came just after the output had changed that often; 0 where only the time was drawn.
        code: how the command ended.
        ended_s: seconds from the signal to the end of its first process.
        gone_s: and of the last one.
        faults: what is wrong; empty for a kill that was survived.
    """

    command: str
    signal: str
    everyone: bool
    at_s: float
    of_s: float
    cold: bool
    at_change: int = 0
    code: int | None = None
    ended_s: float = 0.0
    gone_s: float = 0.0
    faults: list[str] = field(default_factory=list)


@dataclass
class Life:
    """Kills of one output, and what was found when it was done."""

    command: str
    kills: list[Kill]
    faults: list[str]


@dataclass(frozen=True)
class Lab:
    """What every life needs.

    Attributes:
        home: folder of the campaign.
        base: environment of all commands.
        warm: where to fork from.
        imports_s: seconds that the imports take which a fork does not make.
        took: seconds of an undisturbed run, by name of the command; forked, and with a new interpreter.
        truth: its result.
        bytes: of its output, in whole pages.
    """

    home: Path
    base: dict[str, str]
    warm: Warm
    imports_s: float
    took: dict[str, tuple[float, float]] = field(default_factory=dict)
    truth: dict[str, Any] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)

    def begin(
        self, command: Command, folder: Path, *, cold: bool, extra: Mapping[str, str] = MappingProxyType({})
    ) -> Started:
        """Start a command in a folder."""
        variables = {"TMPDIR": str(folder / "tmp"), **extra}
        return start(list(command.arguments), folder, variables, None if cold else self.warm, self.base)

    def folder(self, command: Command) -> Path:
        """A new folder for a life, with an empty one for the output."""
        folder = self.home / "life"
        shutil.rmtree(folder, ignore_errors=True)
        for name in (OUT, "tmp"):
            (folder / name).mkdir(parents=True)
        return folder

    def fill(self, command: Command, folder: Path) -> int:
        """Put there what the command that comes before left, if there is one; the bytes that it takes."""
        if not command.over:
            return 0
        kept = self.home / "before" / command.name.replace(" ", "-")
        if not kept.exists():
            started = start(list(command.over), folder, {}, self.warm, self.base)
            if started.wait(RUN_S) != 0:
                raise RuntimeError(f"{command.name}: {started.stderr.read_text()}")
            shutil.copytree(folder / OUT, kept)
        shutil.copytree(kept, folder / OUT, dirs_exist_ok=True)
        return size(kept)

    def measure(self, command: Command) -> None:
        """Run it undisturbed: how long it takes, and its result."""
        folder = self.folder(command)
        self.fill(command, folder)
        began = time.monotonic()
        if (started := self.begin(command, folder, cold=not command.warm)).wait(RUN_S) != 0:
            raise RuntimeError(f"{command.name}: {started.stderr.read_text()}")
        took = time.monotonic() - began
        self.truth[command.name] = command.result(folder / OUT)
        self.bytes[command.name] = size(folder / OUT)
        self.took[command.name] = (took, took + self.imports_s if command.warm else took)


def live(lab: Lab, command: Command, rng: random.Random, most: int) -> Life:
    """Kill a command up to `most` times, and let it end."""
    folder, before = lab.folder(command), segments()
    lab.fill(command, folder)
    life = Life(command.name, [], [])
    for _ in range(most):
        cold = not command.warm or rng.random() < COLD
        of_s = lab.took[command.name][cold]
        kill = Kill(
            command.name, signal.Signals(number := rng.choice(SIGNALS)).name, rng.random() < 0.5,
            rng.uniform(0, of_s), of_s, cold,
        )  # fmt: skip
        if rng.random() < AT_CHANGE:
            kill.at_change = rng.randint(1, CHANGES)
        known = set(left(folder, before))  # of a SIGKILL before
        started = lab.begin(command, folder, cold=cold)
        if _wait(started, kill, folder / OUT, rng.uniform(0, SOON_S)):
            life.kills.append(kill)
            _kill(started, kill, number)
            kill.faults += _after(folder, before, known, number, started)
        elif started.poll() == 0:
            break
        if started.poll() == 0:
            break
    life.faults += end(lab, command, folder, before)
    return life


def _wait(started: Started, kill: Kill, out: Path, soon_s: float) -> bool:
    """Wait for the moment of the kill; whether the command still runs."""
    began, changes, seen = time.monotonic(), 0, _look(out)
    if not kill.at_change:
        return started.wait(kill.at_s) is None
    while started.poll() is None and time.monotonic() < began + RUN_S:
        if (now := _look(out)) != seen:
            seen, changes = now, changes + 1
        if changes == kill.at_change:
            time.sleep(soon_s)
            kill.at_s = time.monotonic() - began
            return started.poll() is None
        time.sleep(0.001)
    return False


def _look(out: Path) -> list[tuple[str, int, int]]:
    """What is there: names, inodes and sizes."""
    found = []
    with suppress(FileNotFoundError):  # a folder that goes while it is searched: what is left is seen the next time
        for path in out.rglob("*"):
            with suppress(OSError):
                state = path.lstat()
                found.append((str(path), state.st_ino, state.st_size))
    return sorted(found)


def _kill(started: Started, kill: Kill, number: int) -> None:
    began = time.monotonic()
    started.send(number, kill.everyone)
    kill.code = started.wait(STOP_S)
    kill.ended_s = time.monotonic() - began
    if kill.code is None:
        kill.faults.append(f"it went on for {STOP_S:g} s")
        started.send(signal.SIGKILL, True)
        started.wait(STOP_S)
    orphans = started.gone(GONE_S)
    kill.gone_s = time.monotonic() - began
    kill.faults += [f"a process is left: {line}" for line in orphans]
    if orphans:
        started.send(signal.SIGKILL, True)
    wanted = CODES[signal.Signals(number)]
    if kill.code is not None and kill.code not in (0, *wanted):
        kill.faults.append(f"exit code {kill.code}")


def _after(folder: Path, before: set[str], known: set[str], number: int, started: Started) -> list[str]:
    """What is wrong after a kill; what is written aside may stay after SIGKILL, until the next run."""
    faults = [f"half-written: {line}" for line in broken(folder / OUT)]
    text = started.stderr.read_text(errors="replace")
    if "Traceback" in text or "this is a bug" in text:
        faults.append(f"it says: {text.strip()[-600:]}")
    if number != signal.SIGKILL:
        faults += [line for line in left(folder, before) if line not in known]
    return faults


def left(folder: Path, before: set[str]) -> list[str]:
    """What a command that has ended left of its own: segments and temporary files."""
    faults = [f"left in shared memory: {name}" for name in leaked(before)]
    faults += [f"left in the output: {name}" for name in temporary(folder / OUT)]
    return faults + [f"left in the temporary folder: {path.name}" for path in (folder / "tmp").iterdir()]


def end(lab: Lab, command: Command, folder: Path, before: set[str]) -> list[str]:
    """Let it end, and compare its result with that of a run that nobody disturbed."""
    started = lab.begin(command, folder, cold=not command.warm)
    code = started.wait(RUN_S)
    if code != 0:
        return [f"the next run ended with {code}: {started.stderr.read_text(errors='replace').strip()[-600:]}"]
    faults = [f"a process is left: {line}" for line in started.gone(GONE_S)]
    faults += [f"half-written: {line}" for line in broken(folder / OUT)] + left(folder, before)
    return faults + differences(command.result(folder / OUT), lab.truth[command.name])


def differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """What of a result is not as in the undisturbed run: the first places that differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = dict.fromkeys((*found, *wanted))
        pairs = [(name, found.get(name), wanted.get(name)) for name in names]
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = [(number, one, other) for number, (one, other) in enumerate(zip(found, wanted, strict=True))]
    else:
        return [] if found == wanted else [f"another result:{where}: {str(found)[:400]} is not {str(wanted)[:400]}"]
    return [line for name, one, other in pairs for line in differences(one, other, f"{where} {name}")][:3]


def size(folder: Path) -> int:
    """Bytes of all files of a folder, in whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())
