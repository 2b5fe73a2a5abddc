"""Run a SpikingNetwork in Intel's Lava, bit for bit as the contract says, in one of two lowerings.

`stock` is Lava's own Conv, Dense and LIF, unmodified: what would go to Loihi 2. `check` says what it cannot
express. `fused` is one process of ours per layer: it expresses the whole contract and is many times faster.

Lava runs in processes of its own, under a guardian that ends them when they fail, when they take too long or
when this process dies, and that removes their shared memory. Lava is not imported here.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from snn_export.lava import job
from snn_export.lava.checks import check
from snn_export.lava.errors import LavaError
from snn_export.lava.guard import MAKE_ROOM
from snn_export.lava.supervisor import Supervisor
from snn_export.network import IntArray, Recording, SpikingNetwork, check_inputs

__all__ = ["LavaError", "available", "check", "run"]

REMOVE_S = 5.0
"""How long a folder that is still written to may resist its removal."""
LONGEST_FOLDER = 50
"""Characters of a temporary folder below which a Unix socket (at most 107) still finds room."""


def available() -> str | None:
    """None where Lava can run, else one line that says why not and how to get it."""
    if sys.platform != "linux":
        return f"Lava runs under this backend on Linux only, and this is {sys.platform}"
    try:
        found = importlib.util.find_spec("lava.magma") is not None
    except ImportError:
        found = False
    if found:
        return None
    python = ".".join(map(str, sys.version_info[:2]))
    return (
        f"Lava (lava-nc 0.10.0) is not installed in this Python {python}; it needs Python 3.10: "
        "make an environment with Python 3.10 and run `pip install lava-nc==0.10.0` in it"
    )


def run(
    network: SpikingNetwork,
    inputs: Mapping[str, IntArray],
    lowering: Literal["stock", "fused"],
    *,
    timeout_s: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> Recording:
    """Run every GOP from zero state, all in one Lava runtime.

    Args:
        network: the graph to run.
        inputs: port name to integers [G, T, *shape].
        lowering: `stock` or `fused`.
        timeout_s: seconds that Lava may take, start included (about 3 s).
        progress: called from this process now and then with the Lava steps complete and in all.

    Returns:
        Spikes and potentials of every layer at every step. `fused` counts saturations; stock Lava clips
        without telling, so that they are empty there.

    Raises:
        NetworkError: where an input does not fit its port.
        LavaError: when the lowering cannot express the network, when Lava is not installed, fails or takes
            longer than `timeout_s`.
    """
    gops, steps = check_inputs(network, inputs)
    where = f"the {lowering} Lava lowering"
    if reasons := check(network, lowering):
        raise LavaError(where, "; ".join(reasons), "use the fused lowering", 2)
    if missing := available():
        what, _, fix = missing.partition("; ")
        raise LavaError(where, what, fix or "use the reference, or hwsim", 5)
    with _private_folder() as folder:
        with Supervisor(folder, timeout_s, where) as supervisor:
            try:
                job.write(folder, network, inputs, lowering, gops, steps)
            except OSError as error:
                raise LavaError(str(folder), f"the run's files cannot be written: {error}", MAKE_ROOM) from error
            supervisor.run(progress)
        return job.recording(folder, network, lowering)


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
