"""Is this machine able to do everything: each part is tried for real, and what fails says how to repair it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from hybrid.shipped import CLIPS
from snn_export.network import LIF, Connection, Dense, InputPort, IntArray, Layer, Reset, SpikingNetwork

Verdict = Literal["ok", "warning", "failed"]
PACKAGES = ("torch", "numpy", "av", "numba", "nir", "h5py", "lava-nc", "lava-dl", "norse", "ortools", "lightning")
SHM_BYTES, DISK_BYTES = 64 * 2**20, 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        name: what was tried.
        verdict: `failed` where something that most commands need does not work, `warning` where only some do.
        what: what was seen.
        fix: how to repair it; empty where nothing is wrong.
    """

    name: str
    verdict: Verdict
    what: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """All checks, one after the other; a check that breaks is a finding itself."""
    for name, check in CHECKS.items():
        try:
            verdict, what, fix = check()
        except Exception as error:
            verdict, what, fix = "failed", f"{type(error).__name__}: {error}", "see `make setup`, or reinstall"
        yield Finding(name, verdict, what, fix)


Seen = tuple[Verdict, str, str]


def _python() -> Seen:
    version = platform.python_version()
    if version.startswith("3.10."):
        return "ok", f"Python {version}", ""
    return "warning", f"Python {version}", "Lava exists for Python 3.10 only; everything else works here"


def _packages() -> Seen:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    what = ", ".join(found) + (f"; missing: {', '.join(missing)}" if missing else "")
    return ("warning", what, f"pip install {' '.join(missing)}") if missing else ("ok", what, "")


def _reader() -> Seen:
    from hybrid.video import read

    gop = next(iter(read(CLIPS[0])))
    if not gop.motion.any():
        return "failed", "no motion vectors came out of a shipped MPEG-4 clip", "reinstall av (17 or newer)"
    return "ok", f"a shipped clip gives GOPs of {gop.steps} P-frames with motion vectors", ""


def _encoder() -> Seen:
    import av

    missing = [name for name in ("mpeg4", "libx264") if name not in av.codecs_available]
    if missing:
        return "warning", f"FFmpeg in av lacks {', '.join(missing)}", "install av from a wheel; transcode needs mpeg4"
    return "ok", "mpeg4 and libx264 are there", ""


def _simulator() -> Seen:
    from hwsim.engine import run
    from snn_export import reference
    from snn_export.compare import first_difference

    network, inputs = _small()
    found = first_difference(network, reference.run(network, inputs), run(network, inputs).recording)
    if found is not None:
        return "failed", f"the engine differs from the reference at {found}", "report this as a bug"
    return "ok", "the compiled engine equals the integer reference", ""


def _lava() -> Seen:
    from snn_export import lava, reference
    from snn_export.compare import first_difference

    reason = lava.available()
    if reason is not None:
        return "warning", reason, "make setup installs it on Python 3.10; needed for the lava backends only"
    network, inputs = _small()
    found = first_difference(network, reference.run(network, inputs), lava.run(network, inputs, "fused"))
    if found is not None:
        return "failed", f"Lava differs from the reference at {found}", "report this as a bug"
    return "ok", "a network of two steps runs in Lava and equals the reference", ""


def _gpu() -> Seen:
    import torch

    if not torch.cuda.is_available():
        return "warning", "no CUDA GPU; the ANN part runs on the CPU", "nothing to do, unless there is one: its driver"
    free, total = torch.cuda.mem_get_info()
    return "ok", f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free", ""


def _shared_memory() -> Seen:
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return "warning", "there is no /dev/shm", "Lava needs POSIX shared memory; run on Linux"
    free = shutil.disk_usage(folder).free
    fix = "free /dev/shm, or start the container with --shm-size=1g"
    return (
        ("ok", f"{free / 2**20:.0f} MiB free", "")
        if free >= SHM_BYTES
        else ("warning", f"{free / 2**20:.1f} MiB free", fix)
    )


def _disk() -> Seen:
    free = shutil.disk_usage(Path.cwd()).free
    what = f"{free / 2**30:.1f} GiB free here"
    return ("ok", what, "") if free >= DISK_BYTES else ("warning", what, "free some: bundles and caches need it")


def _folders() -> Seen:
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        if not os.access(folder, os.W_OK):
            return "warning", f"{folder} cannot be written", "run where you may write, or give --out"
    return "ok", "the working folder and the folder for temporary files can be written", ""


def _threads() -> Seen:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    what = f"{threads} torch threads on {cores} cores"
    return ("ok", what, "") if threads <= cores else ("warning", what, f"export OMP_NUM_THREADS={cores}")


def _small() -> tuple[SpikingNetwork, dict[str, IntArray]]:
    """One layer over two steps, of which one input fires."""
    neuron = LIF(np.array([2048], np.int32), np.array([3], np.int32), Reset.SOFT)
    layer = Layer("out", (2,), (Connection("in", Dense(np.array([[5, -3], [2, 4]], np.int8))),), neuron)
    return SpikingNetwork((InputPort("in", (2,), 1),), (layer,)), {"in": np.array([[[1, 0], [1, 1]]], np.int8)}


CHECKS: dict[str, Callable[[], Seen]] = {
    "Python": _python, "packages": _packages, "video reader": _reader, "video encoders": _encoder,
    "simulator": _simulator, "Lava": _lava, "GPU": _gpu, "threads": _threads, "shared memory": _shared_memory,
    "disk": _disk, "folders": _folders,
}  # fmt: skip
