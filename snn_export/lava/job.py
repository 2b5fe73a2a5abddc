"""The private folder of one Lava runtime: what the parent writes, what the Lava processes read and record.

The folder holds the network, `state.npy`, which both sides map, and one sub-folder per run with its inputs and
the files reserved for what is recorded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snn_export import files
from snn_export.network import IntArray, Recording, SpikingNetwork

JOB, STATE, SATURATIONS = "job.json", "state.npy", "saturations.npy"
REQUESTED, SERVED, GOPS, BASE, DONE, TOTAL = range(6)
"""Places in `state.npy`: number of the run asked for and of the last one finished, GOPs asked for; Lava steps
before the current run, of it complete, and of it in all."""


def prepare(folder: Path, network: SpikingNetwork, lowering: str, steps: int) -> IntArray:
    """Write the network and what else the worker has to know; returns the state, mapped.

    Raises:
        OSError: where the disk is full.
    """
    files.write(network, folder)
    (folder / JOB).write_text(json.dumps({"lowering": lowering, "steps": steps}))
    _reserve(folder / STATE, np.int64, (6,))
    return reopen(folder / STATE)


def read(folder: Path) -> tuple[SpikingNetwork, str, int]:
    """The network, the lowering, and the number of steps per GOP."""
    record = json.loads((folder / JOB).read_text())
    return files.read(folder), record["lowering"], record["steps"]


def write_run(run: Path, network: SpikingNetwork, inputs: Mapping[str, IntArray]) -> None:
    """Write the inputs of a run, and reserve the space of everything that will be recorded.

    Raises:
        OSError: where the disk is full.
    """
    run.mkdir()
    for i, port in enumerate(network.inputs):
        np.save(input_path(run, i), inputs[port.name], allow_pickle=False)
    leading = next(iter(inputs.values())).shape[:2]
    for i, layer in enumerate(network.layers):
        _reserve(spikes_path(run, i), np.uint8, (*leading, *layer.shape))
        _reserve(potentials_path(run, i), np.int32 if network.fixed else np.float64, (*leading, *layer.shape))
    _reserve(run / SATURATIONS, np.int64, (len(network.layers),))


def read_run(run: Path, network: SpikingNetwork, lowering: str) -> Recording:
    """What was recorded, read into memory, and the run's files removed.

    Stock Lava clips without telling, so it has no saturations.
    """
    spikes, potentials = {}, {}
    for i, layer in enumerate(network.layers):
        spikes[layer.name] = np.load(spikes_path(run, i), allow_pickle=False)
        potentials[layer.name] = np.load(potentials_path(run, i), allow_pickle=False)
    counts = np.load(run / SATURATIONS, allow_pickle=False)
    names = [layer.name for layer in network.layers] if lowering == "fused" else []
    shutil.rmtree(run, ignore_errors=True)
    return Recording(spikes, potentials, {name: int(n) for name, n in zip(names, counts, strict=False)})


def run_path(folder: Path, number: int) -> Path:
    """The sub-folder of the run of that number."""
    return folder / f"run-{number}"


def input_path(run: Path, port: int) -> Path:
    """Where the values [G, T, *shape] of the port of that index lie."""
    return run / f"input-{port}.npy"


def spikes_path(run: Path, layer: int) -> Path:
    """Where the spikes of the layer of that index are recorded, uint8 [G, T, *shape]."""
    return run / f"spikes-{layer}.npy"


def potentials_path(run: Path, layer: int) -> Path:
    """Where the potentials of the layer of that index are recorded, int32 or float64 [G, T, *shape]."""
    return run / f"potentials-{layer}.npy"


def netx_path(folder: Path, stream: int) -> Path:
    """Where the netx file of the stream of that index lies, in the netx lowering."""
    return folder / f"netx-{stream}.net"


def reopen(path: Path) -> IntArray:
    """An array of the folder, mapped into memory for reading and writing."""
    return np.asanyarray(np.load(path, mmap_mode="r+", allow_pickle=False))


def _reserve(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """Write zeros, not a sparse file: a full disk must show now, not kill a writer by SIGBUS later."""
    np.save(path, np.zeros(shape, dtype), allow_pickle=False)
