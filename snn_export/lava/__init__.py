"""Run a SpikingNetwork in Intel's Lava, bit for bit as the contract says, in one of three lowerings.

`stock` is Lava's own Conv, Dense, Sparse and LIF, unmodified: what would go to Loihi 2. `check` says what it
cannot express. `fused` is one process of ours per layer: it expresses the whole contract and is many times
faster. `netx` is lava-dl's own network, which it makes from the netx file of each stream.

Lava runs in processes of its own, under a guardian that ends them when they fail, when they take too long or
when this process dies, and that removes their shared memory. Lava is not imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snn_export.lava.available import available
from snn_export.lava.checks import check
from snn_export.lava.errors import LavaError
from snn_export.lava.runner import Lowering, Progress, Runner
from snn_export.network import IntArray, Recording, SpikingNetwork

__all__ = ["LavaError", "Lowering", "Runner", "available", "check", "run", "run_file"]


def run(
    network: SpikingNetwork,
    inputs: Mapping[str, IntArray],
    lowering: Lowering,
    *,
    timeout_s: float = 120.0,
    progress: Progress | None = None,
) -> Recording:
    """Run every GOP from zero state in a Lava runtime made for it; see `Runner` for many runs of one network.

    Args:
        network: the graph to run.
        inputs: port name to integers [G, T, *shape], or to real numbers where the port takes them.
        lowering: `stock`, `fused` or `netx`.
        timeout_s: seconds that Lava may take, start included (about 1 s).
        progress: called from this process now and then with the Lava steps complete and in all.

    Returns:
        As `Runner.run`.

    Raises:
        NetworkError: where an input does not fit its port.
        LavaError: when the lowering cannot express the network, when Lava is not installed, fails or takes
            longer than `timeout_s`.
    """
    with Runner(network, lowering, timeout_s) as runner:
        return runner.run(inputs, progress)


def run_file(
    path: Path, network: SpikingNetwork, inputs: Mapping[str, IntArray], *, timeout_s: float = 120.0
) -> Recording:
    """Run a netx file itself in lava-dl, every GOP from zero state.

    Args:
        path: the file.
        network: what `netx.read` made of it; it says what to feed and how to name what is recorded.
        inputs: name of the port to integers [G, T, *shape].
        timeout_s: seconds that lava-dl may take, start included (about 10 s).

    Raises:
        NetworkError: where an input does not fit its port.
        LavaError: when lava-dl is not installed, fails or takes longer than `timeout_s`.
    """
    with Runner(network, "netx", timeout_s, file=path) as runner:
        return runner.run(inputs)
