"""Videos per second here: reading a video and running all of a method's views, one after the other.

The video has the length of UCF-101's mean clip (7.2 s at 25 frames a second) and the paper's format (MPEG-4, 240 lines,
an I-frame and eleven P-frames); it is a real clip played forth and back. Methods of the raw domain decode it with PyAV
and make RGB of the frames that they sample; the others read as many GOPs as they look at with our reader, motion and
residuals accumulated, next to which stands what decoding the pictures of these GOPs to RGB takes. All are then scaled
and cropped: by FFmpeg, or as our model does it, eleven P-frames a GOP. Networks run on noise, one view at a
time, float32, eager torch, initialised and not trained: the fastest of at least three after a warm-up, or a single run
where one takes more than two seconds; times the views of the row. Views of more than `MOST_GMAC` are left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import av
import numpy as np
import torch

from benchmarks.tables.method import Method
from hybrid.model import load_config
from hybrid.runtime.clip import load_clip
from hybrid.video import sample

MOST_GMAC = 1000.0
"""Of a view: more takes half a minute and gigabytes of activations on two cores."""
FRAMES, RATE, GOP = 180, 25, 12
SLOW_S, MOST_CALLS = 2.0, 20
"""A call that takes longer is timed once, another as often as fits into that time, from 3 to so many times."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds of one video; None where it was left out.

    Attributes:
        reading_s: decoding to RGB, or reading the compressed streams.
        scaling_s: scaling and cropping.
        decoding_s: for a method of the compressed domain, decoding the pictures of its GOPs to RGB instead.
        networks_s: all views, by device.
        left_out: why the networks were not run.
    """

    reading_s: float
    scaling_s: float
    decoding_s: float | None
    networks_s: dict[str, float]
    left_out: str = ""

    @property
    def saved_s(self) -> float | None:
        """What reading the compressed streams saves of decoding."""
        return None if self.decoding_s is None else self.decoding_s - self.reading_s

    def videos_per_second(self, device: str) -> float | None:
        """One part after the other."""
        if device not in self.networks_s:
            return None
        return 1 / (self.reading_s + self.scaling_s + self.networks_s[device])


def devices() -> tuple[str, ...]:
    """Where networks can be timed."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def conditions() -> str:
    """What a reader has to know about the machine."""
    load = os.getloadavg()[0]
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, load {load:.1f} when the timing began"


def measure(methods: Iterable[Method], video: Path, tell: Callable[[str], None] = lambda _: None) -> dict[str, Speed]:
    """Time each method by name."""
    found: dict[str, Speed] = {}
    for method in methods:
        tell(f"time {method.name}")
        side = method.parts[0].inputs[0][-1]
        reading = read_rgb(video, method.rgb_frames, side) if method.rgb_frames else read_compressed(video, method.gops)
        gmac = method.macs_per_view(method.protocol) / 1e9
        too_large = gmac > MOST_GMAC
        reason = f"not run: {gmac:.0f} GMAC a view, the limit here is {MOST_GMAC:.0f}" if too_large else ""
        networks = {} if too_large else {device: networks_s(method, device) for device in devices()}
        found[method.name] = Speed(*reading, networks, reason)
    return found


@torch.inference_mode()
def networks_s(method: Method, device: str) -> float:
    """Seconds of all views of a video."""
    total = 0.0
    for part in method.parts:
        times = method.protocol.runs.get(part.name, 0)
        if times:
            module, inputs = part.build().eval().to(device), [torch.rand(x).to(device) for x in part.inputs]

            def run(module: torch.nn.Module = module, inputs: list[torch.Tensor] = inputs) -> None:
                module(*inputs)
                if device == "cuda":
                    torch.cuda.synchronize()

            total += times * _fastest(run)
    return total * method.protocol.views


@cache
def read_rgb(video: Path, frames: int, side: int) -> tuple[float, float, None]:
    """Seconds of decoding so many frames, and of scaling and cropping them on top."""
    plain, scaled = _in_turns(partial(decode, video, frames), partial(decode, video, frames, side))
    return plain, max(0.0, scaled - plain), None


@cache
def read_compressed(video: Path, gops: int) -> tuple[float, float, float]:
    """Seconds of reading so many GOPs, of scaling and cropping on top, and of decoding their pictures instead."""
    settings = load_config("base").input.model_copy(update={"views": gops})
    read = partial(sample, video, gops, steps=settings.steps)
    plain, decoding = _in_turns(read, partial(decode, video, gops * GOP))
    return plain, max(0.0, _fastest(partial(load_clip, video, settings)) - plain), decoding


def decode(video: Path, frames: int, side: int = 0) -> int:
    """Decode the video and make RGB arrays of as many frames, evenly spread; returns how many there are.

    Args:
        video: of `FRAMES` frames.
        frames: how many are wanted.
        side: of the square that is cropped out of the scaled picture; 0 for the picture as it is.
    """
    wanted = set(np.linspace(0, FRAMES - 1, min(frames, FRAMES)).round().astype(int).tolist())
    pictures, tall = [], round(side * 8 / 7)
    with av.open(str(video)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted and not side:
                pictures.append(frame.to_ndarray(format="rgb24"))
            elif number in wanted:
                wide = round(tall * frame.width / frame.height)
                picture = frame.reformat(wide, tall, "rgb24").to_ndarray()
                top, left = (tall - side) // 2, (wide - side) // 2
                pictures.append(np.ascontiguousarray(picture[top : top + side, left : left + side]))
    return len(pictures)


def write_video(clip: Path, to: Path) -> Path:
    """The clip forth and back until it has `FRAMES` frames, in the paper's format."""
    with av.open(str(clip)) as container:
        frames = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    with av.open(str(to), "w", format="avi") as out:
        stream = out.add_stream("mpeg4", rate=RATE, options={"qmin": "4", "qmax": "4", "sc_threshold": "1000000000"})
        height, stream.width = frames[0].shape[0] * 2 // 3, frames[0].shape[1]
        stream.height, stream.pix_fmt = height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GOP, 0
        for number in range(FRAMES):
            picture = av.VideoFrame.from_ndarray(frames[order[number % len(order)]], format="yuv420p")
            picture.pts = number
            out.mux(stream.encode(picture))
        out.mux(stream.encode())
    return to


def _in_turns(*works: Callable[[], object]) -> list[float]:
    """Seconds of the fastest call of each after a warm-up, taken in turns, so that all meet the same machine."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(1 + MOST_CALLS):
        for work, found in zip(works, times, strict=True):
            begin = time.perf_counter()
            work()
            found.append(time.perf_counter() - begin)
    return [min(found[1:]) for found in times]


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of at least three calls after a warm-up; of the only one where that is slow."""
    times: list[float] = []
    while len(times) < 4 or (len(times) < MOST_CALLS and sum(times) < SLOW_S):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
        if times[0] > SLOW_S:
            return times[0]
    return min(times[1:])
