"""Compile a network in Lava once and run it many times."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Literal

from snn_export import netx
from snn_export.aside import try_lock
from snn_export.lava import job
from snn_export.lava.available import available
from snn_export.lava.checks import check
from snn_export.lava.errors import LavaError
from snn_export.lava.guard import MAKE_ROOM, unlink_segments
from snn_export.lava.supervisor import Supervisor
from snn_export.network import IntArray, Recording, SpikingNetwork, check_inputs

Lowering = Literal["stock", "fused", "netx"]
Progress = Callable[[int, int], None]

PREFIX = "snn-lava-"
"""Of the name of a runtime's folder."""
REMOVE_S = 5.0
"""How long a folder that is still written to may resist its removal."""
LONGEST_FOLDER = 50
"""Characters of a temporary folder below which a Unix socket (at most 107) still finds room."""


class Runner:
    """A network in Lava, as a context: the first run starts Lava (about 1 s), further ones use what runs.

    The steps per GOP are compiled in: a run with another number starts Lava anew.

    Args:
        network: the graph to run.
        lowering: `stock`, `fused` or `netx`.
        timeout_s: seconds that one run may take, a start of Lava included.
        file: for `netx`, the file that `network` was read from, to run as it is; without it one is written.

    Raises:
        LavaError: when the lowering cannot express the network, or Lava is not installed.
    """

    def __init__(
        self, network: SpikingNetwork, lowering: Lowering, timeout_s: float = 120.0, file: Path | None = None
    ) -> None:
        self._network, self._lowering, self._timeout_s = network, lowering, timeout_s
        self._label = f"the {lowering} Lava lowering"
        self._stack, self._steps, self._runs = ExitStack(), 0, 0
        if file is None and (reasons := check(network, lowering)):
            raise LavaError(self._label, "; ".join(reasons), "use the fused lowering", 2)
        if missing := available(lowering):
            what, _, fix = missing.partition("; ")
            raise LavaError(self._label, what, fix or "use the reference, or hwsim", 5)
        self._files = [file.read_bytes()] if file else []
        if lowering == "netx" and not file:
            self._files = [netx.dumps(stream) for stream in netx.streams(network).values()]

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End Lava and remove everything it used; a further run starts it anew."""
        self._steps = 0
        self._stack.close()

    def run(self, inputs: Mapping[str, IntArray], progress: Progress | None = None) -> Recording:
        """Run every GOP from zero state.

        Args:
            inputs: port name to integers [G, T, *shape], or to real numbers where the port takes them.
            progress: called from this process now and then with the Lava steps complete and in all.

        Returns:
            Spikes and potentials of every layer at every step. `fused` counts saturations; Lava's own processes
            clip without telling, so that they are empty elsewhere.

        Raises:
            NetworkError: where an input does not fit its port.
            LavaError: when Lava fails or takes longer than allowed; Lava has ended then.
        """
        gops, steps = check_inputs(self._network, inputs)
        began = time.monotonic()
        try:
            if steps != self._steps:
                self.close()
                self._start(steps)
            self._runs += 1
            run = job.run_path(self._folder, self._runs)
            try:
                job.write_run(run, self._network, inputs)
            except OSError as error:
                raise self._no_room(error) from error
            self._supervisor.run(gops, began, progress)
            return job.read_run(run, self._network, self._lowering)
        except BaseException:
            self.close()
            raise

    def _start(self, steps: int) -> None:
        self._folder, lock = self._stack.enter_context(_private_folder())
        try:
            state = job.prepare(self._folder, self._network, self._lowering, steps)
            for i, content in enumerate(self._files):
                job.netx_path(self._folder, i).write_bytes(content)
        except OSError as error:
            raise self._no_room(error) from error
        supervisor = Supervisor(self._folder, lock, state, self._timeout_s, self._label)
        self._supervisor = self._stack.enter_context(supervisor)
        self._steps, self._runs = steps, 0

    def _no_room(self, error: OSError) -> LavaError:
        return LavaError(str(self._folder), f"the run's files cannot be written: {error}", MAKE_ROOM)


@contextmanager
def _private_folder() -> Iterator[tuple[Path, int]]:
    """A new folder and a lock on it, which the guardian shares."""
    usual = Path(_short_folder())
    _sweep(usual)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=usual))
        lock = _lock(folder)
        if lock is not None:  # else somebody who sweeps was quicker
            break
    try:
        yield folder, lock
    finally:
        # a worker whose guardian was killed may still write its last words: remove until nothing is left
        deadline = time.monotonic() + REMOVE_S
        shutil.rmtree(folder, ignore_errors=True)
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _sweep(usual: Path) -> None:
    """Remove what runtimes left all of whose processes were killed at once, guardian included."""
    for folder in usual.glob(f"{PREFIX}*"):
        lock = _lock(folder)
        if lock is not None:
            unlink_segments(folder)
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder of ours; None where somebody else holds it or removed it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):
        if os.fstat(handle).st_uid == os.geteuid() and try_lock(handle) and os.path.samefile(handle, folder):
            return handle
    os.close(handle)
    return None


def _short_folder() -> str:
    """Where temporary files go, or /tmp: multiprocessing puts a socket there, whose path has to be short."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_FOLDER else "/tmp"
