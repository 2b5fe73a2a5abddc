"""Run a SpikingNetwork in Intel's Lava, bit for bit as the contract says, in one of two lowerings.

`stock` is Lava's own Conv, Dense and LIF, unmodified: what would go to Loihi 2. `check` says what it cannot
express. `fused` is one process of ours per layer: it expresses the whole contract and is many times faster.
`netx` is lava-dl's own network, made by lava-dl from a netx file.

Lava runs in processes of its own, under a guardian that ends them when they fail, when they take too long or
when this process dies, and that removes their shared memory. Lava is not imported here.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

from snn_export import netx
from snn_export.lava import job
from snn_export.lava.checks import check
from snn_export.lava.errors import LavaError
from snn_export.lava.guard import MAKE_ROOM
from snn_export.lava.supervisor import Supervisor
from snn_export.network import IntArray, Recording, SpikingNetwork, check_inputs

__all__ = ["LavaError", "available", "check", "run", "run_file"]

Lowering: TypeAlias = Literal["stock", "fused", "netx"]

REMOVE_S = 5.0
"""How long a folder that is still written to may resist its removal."""
LONGEST_FOLDER = 50
"""Characters of a temporary folder below which a Unix socket (at most 107) still finds room."""


def available(lowering: Lowering = "fused") -> str | None:
    """None where Lava can run this lowering, else one line that says why not and how to get it."""
    if sys.platform != "linux":
        return f"Lava runs under this backend on Linux only, and this is {sys.platform}"
    module, package = ("lava.lib.dl.netx", "lava-dl 0.6.0") if lowering == "netx" else ("lava.magma", "lava-nc 0.10.0")
    try:
        found = importlib.util.find_spec(module) is not None
    except ImportError:
        found = False
    if found:
        return None
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"Lava ({package}) is not installed in this Python {python}; it needs Python 3.10: "
        f"make an environment with Python 3.10 and run `pip install {package.replace(' ', '==')}` in it"
    )


def run(
    network: SpikingNetwork,
    inputs: Mapping[str, IntArray],
    lowering: Lowering,
    *,
    timeout_s: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Run every GOP from zero state, all in one Lava runtime.

    Args:
        network: the graph to run.
        inputs: port name to integers [G, T, *shape].
        lowering: `stock`, `fused` or `netx`.
        timeout_s: seconds that Lava may take, start included (about 3 s).
        progress: called from this process now and then with the Lava steps complete and in all.

    Returns:
        Spikes and potentials of every layer at every step. `fused` counts saturations; Lava's own
        processes clip without telling, so that they are empty elsewhere.

    Raises:
        NetworkError: where an input does not fit its port.
        LavaError: when the lowering cannot express the network, when Lava is not installed, fails or takes
            longer than `timeout_s`.
    """
    check_inputs(network, inputs)
    if reasons := check(network, lowering):
        raise LavaError(_label(lowering), "; ".join(reasons), "use the fused lowering", 2)
    files = [netx.dumps(part) for part in netx.streams(network).values()] if lowering == "netx" else []
    return _run(network, inputs, lowering, files, timeout_s, progress)


def run_file(
    path: Path, network: SpikingNetwork, inputs: Mapping[str, IntArray], *, timeout_s: float = 120.0
) -> Recording:
    """Run a netx file itself in lava-dl, from zero state at each GOP.

    Args:
        path: the file.
        network: what `netx.read` made of it; it says what to feed and how to name what is recorded.
        inputs: name of the port to integers [G, T, *shape].
        timeout_s: seconds that lava-dl may take, start included (about 10 s).

    Raises:
        NetworkError: where an input does not fit its port.
        LavaError: when lava-dl is not installed, fails or takes longer than `timeout_s`.
    """
    return _run(network, inputs, "netx", [path.read_bytes()], timeout_s, None)


def _run(
    network: SpikingNetwork, inputs: Mapping[str, IntArray], lowering: Lowering, files: Sequence[bytes],
    timeout_s: float, progress: Callable[[int, int], None] | None,
) -> Recording:  # fmt: skip
    gops, steps = check_inputs(network, inputs)
    where = _label(lowering)
    if missing := available(lowering):
        what, _, fix = missing.partition("; ")
        raise LavaError(where, what, fix or "use the reference, or hwsim", 5)
    with _private_folder() as folder:
        with Supervisor(folder, timeout_s, where) as supervisor:
            try:
                job.write(folder, network, inputs, lowering, gops, steps)
                for i, data in enumerate(files):
                    job.netx_path(folder, i).write_bytes(data)
            except OSError as error:
                raise LavaError(str(folder), f"the run's files cannot be written: {error}", MAKE_ROOM) from error
            supervisor.run(progress)
        return job.recording(folder, network, lowering)


def _label(lowering: Lowering) -> str:
    return f"the {lowering} Lava lowering"


@contextmanager
def _private_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="snn-lava-", dir=_short_folder()))
    try:
        yield folder
    finally:
        # a worker whose guardian was killed may still write its last words: remove until nothing is left
        deadline = time.monotonic() + REMOVE_S
        shutil.rmtree(folder, ignore_errors=True)
        while folder.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
            shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> str:
    """Where temporary files go, or /tmp: multiprocessing puts a socket there, whose path has to be short."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= LONGEST_FOLDER else "/tmp"
