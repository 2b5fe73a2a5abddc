"""Videos per second on this CPU of the methods that are small enough, reading included.

One view of noise at a time, float32, eager torch, median of the repeats, times the views of the row's own protocol.
Methods of the raw domain decode the whole clip to RGB arrays with PyAV; the others read eight GOPs with our reader:
I-frames, accumulated motion and residuals. Scaling and cropping are left out for all.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import av
import torch

from benchmarks.tables.method import Method
from hybrid.video import sample

SMALL = ("CV-C3D", "MFCD-Net", "CoViAR", "Wu et al.", "PKD", "I3D", "ours")
GOPS = 8
"""Read of a video, as the paper's views column mostly has it."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of one video.

    Attributes:
        reading_s: decoding, or reading the compressed streams.
        networks_s: all views.
    """

    reading_s: float
    networks_s: float

    @property
    def videos_per_second(self) -> float:
        """One part after the other."""
        return 1 / (self.reading_s + self.networks_s)


def measure(methods: Iterable[tuple[Method, str]], clip: Path, repeats: int = 3) -> dict[str, Speed]:
    """Speeds by name of those of `methods`, given with their modality, that are in `SMALL`."""
    readers = {True: lambda: _decode(clip), False: lambda: list(sample(clip, GOPS, steps=11, accumulate=True))}
    reading = {raw: _median(read, repeats) for raw, read in readers.items()}
    found = {}
    for method, modality in methods:
        if method.name in SMALL and method.name not in found:
            seconds = sum(_seconds(method, name, repeats) * n for name, n in method.protocol.runs.items())
            found[method.name] = Speed(reading[modality.startswith("raw")], seconds * method.protocol.views)
    return found


@torch.inference_mode()
def _seconds(method: Method, name: str, repeats: int) -> float:
    part = next(part for part in method.parts if part.name == name)
    module, inputs = part.build().eval(), [torch.rand(shape) for shape in part.inputs]
    return _median(lambda: module(*inputs), repeats)


def _decode(clip: Path) -> None:
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def _median(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call; the first warms up and does not count."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[1:])
