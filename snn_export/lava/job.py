"""The private folder of one run: what the parent writes, what the Lava processes read and record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snn_export import files
from snn_export.network import IntArray, Recording, SpikingNetwork

JOB, PROGRESS, SATURATIONS = "job.json", "progress.npy", "saturations.npy"


def write(
    folder: Path,
    network: SpikingNetwork,
    inputs: Mapping[str, IntArray],
    lowering: str,
    gops: int,
    steps: int,
) -> None:
    """Write the network and its inputs, and reserve the space of everything that will be recorded.

    Raises:
        OSError: where the disk is full.
    """
    files.write(network, folder)
    (folder / JOB).write_text(json.dumps({"lowering": lowering, "gops": gops, "steps": steps}))
    for i, port in enumerate(network.inputs):
        np.save(input_path(folder, i), inputs[port.name], allow_pickle=False)
    for i, layer in enumerate(network.layers):
        shape = (gops, steps, *layer.shape)
        _reserve(spikes_path(folder, i), np.uint8, shape)
        _reserve(potentials_path(folder, i), np.int32 if network.fixed else np.float64, shape)
    _reserve(folder / PROGRESS, np.int64, (2,))
    _reserve(folder / SATURATIONS, np.int64, (len(network.layers),))


def read(folder: Path) -> tuple[SpikingNetwork, str, int, int]:
    """The network, the lowering, and the numbers of GOPs and of steps per GOP."""
    record = json.loads((folder / JOB).read_text())
    return files.read(folder), record["lowering"], record["gops"], record["steps"]


def recording(folder: Path, network: SpikingNetwork, lowering: str) -> Recording:
    """What was recorded, read into memory; stock Lava clips without telling, so it has no saturations."""
    spikes, potentials = {}, {}
    for i, layer in enumerate(network.layers):
        spikes[layer.name] = np.load(spikes_path(folder, i), allow_pickle=False)
        potentials[layer.name] = np.load(potentials_path(folder, i), allow_pickle=False)
    counts = np.load(folder / SATURATIONS, allow_pickle=False)
    names = [layer.name for layer in network.layers] if lowering == "fused" else []
    return Recording(spikes, potentials, {name: int(n) for name, n in zip(names, counts, strict=False)})


def progress(folder: Path) -> tuple[int, int]:
    """How many Lava steps are complete, of how many; (0, 0) before Lava runs."""
    done, total = np.load(folder / PROGRESS, allow_pickle=False)
    return int(done), int(total)


def input_path(folder: Path, port: int) -> Path:
    """Where the values [G, T, *shape] of the port of that index lie."""
    return folder / f"input-{port}.npy"


def spikes_path(folder: Path, layer: int) -> Path:
    """Where the spikes of the layer of that index are recorded, uint8 [G, T, *shape]."""
    return folder / f"spikes-{layer}.npy"


def potentials_path(folder: Path, layer: int) -> Path:
    """Where the potentials of the layer of that index are recorded, int32 or float64 [G, T, *shape]."""
    return folder / f"potentials-{layer}.npy"


def netx_path(folder: Path, stream: int) -> Path:
    """Where the netx file of the stream of that index lies, in the netx lowering."""
    return folder / f"netx-{stream}.net"


def reopen(path: Path) -> IntArray:
    """An array of the folder, mapped into memory for reading and writing."""
    return np.asanyarray(np.load(path, mmap_mode="r+", allow_pickle=False))


def step_of(at: int, length: int, values: IntArray) -> tuple[int, int] | None:
    """GOP and step in `values` [G, T, ...] of the Lava step `at`, of `length` per GOP; None outside the run."""
    gop, step = divmod(at, length)
    return (gop, step) if 0 <= gop < values.shape[0] and step < values.shape[1] else None


class Recorder:
    """Writes the state of one layer, step by step, into the files reserved for it.

    Args:
        folder: the folder of the run.
        layer: index of the layer.
        length: Lava steps per GOP; those that are more than the GOP has are idle.
    """

    def __init__(self, folder: Path, layer: int, length: int) -> None:
        self._spikes = reopen(spikes_path(folder, layer))
        self._potentials = reopen(potentials_path(folder, layer))
        self._length = length

    def spikes(self, at: int, values: IntArray) -> None:
        """Record spikes [*shape] at Lava step `at`, counted from 0; steps outside the run are dropped."""
        place = step_of(at, self._length, self._spikes)
        if place is not None:
            self._spikes[place] = values

    def potentials(self, at: int, values: IntArray) -> None:
        """Record potentials [*shape] at Lava step `at`, as `spikes` does."""
        place = step_of(at, self._length, self._potentials)
        if place is not None:
            self._potentials[place] = values


def _reserve(path: Path, dtype: type, shape: tuple[int, ...]) -> None:
    """Write zeros, not a sparse file: a full disk must show now, not kill a writer by SIGBUS later."""
    np.save(path, np.zeros(shape, dtype), allow_pickle=False)
