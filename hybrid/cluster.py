"""Ray: started on this machine for as long as it is needed, or joined where it runs already."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from hybrid import guard
from hybrid.errors import BadInputError, HybridError

STORE_BYTES = 100 * 2**20
"""Of Ray's object store, which lies in shared memory: what travels here is small, and Ray takes no less than 75 MiB."""
SHARED = Path("/dev/shm")
LONGEST = 20
"""Letters of the folder for temporary files that leave room for the names of Ray's sockets: a system takes 107."""
REACH_S = 5.0
"""How long an address may take to answer."""
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""What a client of HTTP/2, which Ray's head speaks, says first; the server's own settings are the answer."""


@contextmanager
def started(workers: int) -> Iterator[int]:
    """Start Ray on this machine, for this process alone; it is gone with the block, or with this process.

    Its files are in a temporary folder of their own. Nothing of it outlives this process, however that ends: a guard
    ends what is left, and removes the folder. Nobody else can connect: this process has a secret of its own.

    Args:
        workers: processes to work at a time.

    Yields:
        The same number.

    Raises:
        HybridError: where Ray does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="hybrid-", dir=_folder_for_temporary_files()))
    command = [sys.executable, "-I", "-S", guard.__file__, str(folder)]
    watch = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    told = False
    try:
        with _environment(_settings(workers)):
            try:
                _connect(
                    address="local", num_cpus=workers, include_dashboard=False, object_store_memory=STORE_BYTES,
                    _temp_dir=str(folder), _plasma_directory=str(_store(folder)), _node_ip_address="127.0.0.1",
                )  # fmt: skip
            except Exception as error:  # Ray raises errors of all kinds
                what = f"Ray, which runs the workers, does not start: {_first_line(error)}"
                raise HybridError("--workers", what, "free memory and disk, or leave --workers out") from error
            try:
                yield workers
            except SystemExit:
                told = True
                raise
            except BaseException:
                _disconnect()
                raise
            _disconnect()
    finally:
        if watch.stdin is not None:
            watch.stdin.close()
        if not told:  # else end before Ray, which sees its other processes end, ends this one with a code of its own
            watch.wait()


@contextmanager
def joined(address: str) -> Iterator[int]:
    """Connect to a Ray cluster that runs already; this machine has to be one of its nodes.

    Args:
        address: HOST:PORT of its head.

    Yields:
        The CPUs of all nodes.

    Raises:
        BadInputError: for an address of another form, or at which no Ray cluster answers.
    """
    fix = "give the address that `ray start --head` printed, on a machine that is a node of that cluster"
    try:
        _reach(address)
        with _environment({"RAY_USAGE_STATS_ENABLED": "0"}):
            _connect(address=address)
    except Exception as error:  # Ray raises errors of all kinds
        raise BadInputError(
            f"--address {address}", f"no Ray cluster answers there: {_first_line(error)}", fix
        ) from error
    import ray

    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus == 0:
            raise HybridError(f"--address {address}", "no node of the cluster has a CPU to give", "add a node")
        yield cpus
    finally:
        _disconnect()


def connected() -> bool:
    """Whether this process is connected to a Ray cluster, ours or not."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def _connect(**options: Any) -> None:
    """Begin with Ray, and leave what a signal does as it was: Ray would put its own in place."""
    # read when Ray is imported; it would tell of workers that die on standard output, where our results go
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "(?s).")
    import ray

    before, told = signal.getsignal(signal.SIGTERM), False
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
    except SystemExit:  # Ray's own answer to SIGTERM, with a code of its own
        told = True
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
    if told:
        signal.raise_signal(signal.SIGTERM)


def _disconnect() -> None:
    import ray

    ray.shutdown()


def _settings(workers: int) -> dict[str, str]:
    """What the workers find in their environment, where the user says nothing else."""
    wanted = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // workers)),
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # every worker may use the GPU
    }
    wanted = {name: value for name, value in wanted.items() if name not in os.environ}
    return wanted | {"RAY_AUTH_TOKEN": _secret(), "RAY_USAGE_STATS_ENABLED": "0"}


@lru_cache
def _secret() -> str:
    """One for all starts of a process: Ray reads it once."""
    return secrets.token_hex(32)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change the environment, which processes that are started take over, for the block."""
    before = {name: os.environ.get(name) for name in (*changes, "RAY_AUTH_MODE")}  # the last one Ray itself sets
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _folder_for_temporary_files() -> str:
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST else "/tmp"


def _store(folder: Path) -> Path:
    """Where the object store lies: in shared memory, or on the disk where that is all but full."""
    try:
        state = os.statvfs(SHARED)
    except OSError:
        return folder
    return SHARED if state.f_bavail * state.f_frsize > 2 * STORE_BYTES else folder


def _reach(address: str) -> None:
    """See that something at an address speaks as Ray's head does: Ray itself would try for two minutes.

    Raises:
        OSError: where nothing answers in time.
        ValueError: for an address of another form, or something else that answers.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("it is not of the form HOST:PORT")
    with socket.create_connection((host, int(port)), REACH_S) as connection:
        connection.settimeout(REACH_S)
        connection.sendall(GREETING)
        answer = connection.recv(9)
    if len(answer) < 4 or answer[3] != 4:
        raise ValueError("something else does")
