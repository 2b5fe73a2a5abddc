"""The compressed-domain reader against the decoder, against PyAV's own arrays, and against a numpy port of CoViAR.

    python benchmarks/reader.py [--clip FILE] [--json FILE]

Ratios within one run, the median of several rounds in which all contestants take turns; of the CPU's time, which
other work on the machine disturbs least, with the time on the clock beside it. Everybody decodes on one thread:
PyAV's default is threads by slices, and these pictures have one. The bare decode is that of PyAV as it is,
without vectors; the same with vectors exported, which everybody else needs, stands below it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from rich.console import Console
from rich.table import Table

from hybrid.shipped import CLIPS
from hybrid.video import read, sample
from hybrid.video.builder import vectors_of
from hybrid.video.reader import open_video

ROUNDS = 9
LARGE_FRAMES = 240


def bare_decode(path: Path) -> int:
    """Decode every frame and look at nothing."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def bare_decode_with_vectors(path: Path) -> int:
    """The same, with vectors exported."""
    with open_video(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def pyav_arrays(path: Path) -> int:
    """What PyAV takes merely to hand over RGB frames and vectors as arrays; it converts on all cores."""
    frames = 0
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
            vectors_of(frame)
            frames += 1
    return frames


def pyav_arrays_tuned(path: Path) -> int:
    """The same on one thread, with one reformatter for all frames instead of one for each."""
    frames, reformatter = 0, VideoReformatter()
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
            vectors_of(frame)
            frames += 1
    return frames


def ours(path: Path) -> int:
    """I-frames, accumulated motion and residuals."""
    return sum(1 + gop.steps for gop in read(path))


def coviar_in_numpy(path: Path) -> int:
    """The published accumulation, block by block with numpy slices, on an index map."""
    frames = 0
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            pixels = frame.to_ndarray(format="rgb24").astype(np.int16)
            height, width = pixels.shape[:2]
            if int(frame.pict_type) == 1:
                iframe, place = pixels, np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1)
                trace = place.copy()
            else:
                old = trace.copy()
                for v in vectors_of(frame):
                    dx, dy = int(v["dst_x"]) - int(v["src_x"]), int(v["dst_y"]) - int(v["src_y"])
                    if dx == 0 and dy == 0:
                        continue
                    x0, y0 = int(v["dst_x"]) - int(v["w"]) // 2, int(v["dst_y"]) - int(v["h"]) // 2
                    x0, x1 = max(x0, 0, dx), min(x0 + int(v["w"]), width, width + dx)
                    y0, y1 = max(y0, 0, dy), min(y0 + int(v["h"]), height, height + dy)
                    if x0 < x1 and y0 < y1:
                        trace[y0:y1, x0:x1] = old[y0 - dy : y1 - dy, x0 - dx : x1 - dx]
                _ = (place - trace).astype(np.int16), pixels - iframe[trace[..., 1], trace[..., 0]]
            frames += 1
    return frames


def encode(path: Path, clip: Path, size: tuple[int, int], frames: int) -> Path:
    """A video in the paper's format but for its size: the pictures of `clip` again and again."""
    width, height = size
    with av.open(str(clip)) as source:
        pictures = [x.reformat(width, height, "yuv420p").to_ndarray() for x in source.decode(video=0)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "mpeg4", rate=30, options={"qmin": "5", "qmax": "5", "sc_threshold": "1000000000"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 0
        for i in range(frames):
            picture = av.VideoFrame.from_ndarray(pictures[i % len(pictures)], format="yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@dataclass(frozen=True, slots=True)
class Cost:
    """Median seconds of one contestant, on the clock and of the CPU (all threads together)."""

    clock: float
    cpu: float


def medians(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """What each costs, all taking turns, after one round to warm up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            begin = time.perf_counter(), time.process_time()
            run()
            if round_:
                seconds[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    return {name: Cost(*map(statistics.median, zip(*values, strict=True))) for name, values in seconds.items()}


def race(clip: Path, names: tuple[str, ...], rounds: int) -> dict[str, Cost]:
    """The cost per frame of some of the contestants."""
    frames = bare_decode(clip)
    costs = medians({name: (lambda f=CONTESTANTS[name]: f(clip)) for name in names}, rounds)
    return {name: Cost(cost.clock / frames, cost.cpu / frames) for name, cost in costs.items()}


def show(title: str, costs: dict[str, Cost], against: tuple[str, ...]) -> None:
    """One table."""
    table = Table("", "clock, ms", "CPU, ms", *(f"CPU, against {name}" for name in against), title=title)
    for name, cost in costs.items():
        ratios = (f"{cost.cpu / costs[other].cpu:.2f}x" for other in against)
        table.add_row(name, f"{1e3 * cost.clock:.3f}", f"{1e3 * cost.cpu:.3f}", *ratios)
    Console().print(table)


CONTESTANTS: dict[str, Callable[[Path], int]] = {
    "bare decode": bare_decode,
    "bare decode with vectors": bare_decode_with_vectors,
    "PyAV arrays": pyav_arrays,
    "PyAV arrays, tuned": pyav_arrays_tuned,
    "ours": ours,
    "CoViAR in numpy": coviar_in_numpy,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIPS[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    clip = options.clip
    small = race(clip, tuple(CONTESTANTS), ROUNDS)
    show(f"{clip.name}, a frame", small, ("ours", "bare decode"))
    with tempfile.TemporaryDirectory() as folder:
        large = race(encode(Path(folder) / "large.avi", clip, (1280, 720), LARGE_FRAMES), tuple(CONTESTANTS)[:-1], 5)
        show("the same at 1280x720, a frame", large, ("ours", "bare decode"))
        minute = encode(Path(folder) / "minute.avi", clip, (320, 240), 1800)
        sampling = {
            "decode 60 s": lambda: bare_decode(minute),
            "read 60 s": lambda: ours(minute),
            "sample 8 GOPs": lambda: sample(minute, 8),
        }
        long = medians(sampling, 5)
    show("60 s of it", long, ("sample 8 GOPs",))
    if options.json:
        tables = {"frame": small, "large frame": large, "minute": long}
        result = {key: {name: asdict(cost) for name, cost in costs.items()} for key, costs in tables.items()}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
