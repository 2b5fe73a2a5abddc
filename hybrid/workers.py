"""Worker processes that end with their parent, and never before it says so."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from hybrid.files import scratch_folder

POLITE_TRIES = 8
"""How often a worker is asked to end, five times a second, before it is killed."""
LAUNCHER = "HYBRID_LAUNCHER"
"""Environment variable: number of the process that started this one to train together with it."""
LOOK_S = 0.5
"""How often a process looks whether its launcher lives."""


class Crew(SpawnContext):
    """Starts workers, and knows which ones are ours to stop.

    Spawned: a fork of a process that has run torch or FFmpeg threads can hang.
    """

    def __init__(self) -> None:
        self._started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        """What the executor calls for each worker."""
        process = SpawnProcess(*args, **kwargs)
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End the workers, each removing its half file; kill those that do not listen."""
        for attempt in range(POLITE_TRIES + 1):
            alive = [process for process in self._started if process.is_alive()]
            if not alive:
                return
            for process in alive:
                process.kill() if attempt == POLITE_TRIES else process.terminate()
            alive[0].join(0.2)


def begin_worker() -> None:
    """Leave Ctrl-C to the parent, end cleanly when told to, and do not outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def temporary_sockets() -> Iterator[None]:
    """Keep what multiprocessing puts into temporary files where the next run removes it, should we be killed.

    The name is inside of multiprocessing, which otherwise makes a folder with a random name.
    """
    with scratch_folder() as folder:
        config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
        before = config.get("tempdir")
        config["tempdir"] = str(folder)
        try:
            yield
        finally:
            config["tempdir"] = before


def lead() -> None:
    """Note in the environment that this process is the one that starts others to train together with it."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        os.environ[LAUNCHER] = str(os.getpid())


def follow() -> bool:
    """End with the process that started this one to train together with it, if there is one; whether there is.

    Lightning starts a command again for each further device. Where something else starts all processes, such as
    torchrun, they are left to it.
    """
    if LAUNCHER not in os.environ or os.environ.get("LOCAL_RANK", "0") == "0":
        return False
    threading.Thread(target=_end_with_launcher, args=(int(os.environ[LAUNCHER]),), daemon=True).start()
    return True


def _end_with_launcher(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(LOOK_S)
    _tell_to_end()
    os._exit(143)  # what it waits for in its libraries never comes


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        while True:
            _tell_to_end()


def _tell_to_end() -> None:
    """Again and again, should the first one fall into a callback that swallows it."""
    for _ in range(POLITE_TRIES):
        # to the main thread, whose waiting read only a signal of its own interrupts
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        time.sleep(0.2)
