"""The compressed-domain reader against the decoder, against PyAV's own arrays, and against a numpy port of CoViAR.

    python benchmarks/reader.py [--clip FILE] [--json FILE]

One thread, ratios within one run, the median of several rounds in which all contestants take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from hybrid.shipped import CLIPS
from hybrid.video import read, sample
from hybrid.video.builder import vectors_of
from hybrid.video.reader import open_video

ROUNDS = 9


def bare_decode(path: Path) -> int:
    """Decode every frame and look at nothing."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def pyav_arrays(path: Path) -> int:
    """What PyAV takes merely to hand over RGB frames and vectors as arrays."""
    frames = 0
    with open_video(path) as (container, stream):
        for frame in container.decode(stream):
            frame.to_ndarray(format="rgb24")
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


def minute_long(folder: Path, clip: Path) -> Path:
    """A clip of 60 s in the paper's format: the frames of `clip` again and again."""
    path = folder / "minute.avi"
    with av.open(str(clip)) as source:
        frames = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "mpeg4", rate=30, options={"qmin": "5", "qmax": "5", "sc_threshold": "1000000000"}
        )
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 12, 0
        for i in range(1800):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frames[i % len(frames)], format="rgb24")))
        container.mux(stream.encode())
    return path


def medians(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, all taking turns, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_ in range(rounds + 1):
        for name, run in contestants.items():
            begin = time.perf_counter()
            run()
            if round_:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, default=CLIPS[0])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    clip = options.clip
    frames = bare_decode(clip)
    contestants = {
        "bare decode": bare_decode,
        "PyAV arrays": pyav_arrays,
        "ours": ours,
        "CoViAR in numpy": coviar_in_numpy,
    }
    times = medians({name: (lambda f=run: f(clip)) for name, run in contestants.items()}, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        minute = minute_long(Path(folder), clip)
        sampling = {
            "decode 60 s": lambda: bare_decode(minute),
            "read 60 s": lambda: ours(minute),
            "sample 8 GOPs": lambda: sample(minute, 8),
        }
        long = medians(sampling, 3)
    table = Table("reading", "ms per frame", "against ours", title=f"{clip.name}, {frames} frames, 1 thread")
    for name, seconds in times.items():
        table.add_row(name, f"{1e3 * seconds / frames:.3f}", f"{seconds / times['ours']:.2f}x")
    Console().print(table)
    table = Table("60 s clip", "ms", "against sampling")
    for name, seconds in long.items():
        table.add_row(name, f"{1e3 * seconds:.1f}", f"{seconds / long['sample 8 GOPs']:.1f}x")
    Console().print(table)
    if options.json:
        result = {"clip": clip.name, "frames": frames, "seconds": times, "minute_seconds": long}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
