"""Workers: time and speed-up of a sweep by their number, and memory over a data set of 10,000 clips.

    python benchmarks/scale.py --out runs/scale

The sweep prices cuts of the shipped model and measures each on labelled clips, in a process of its own for every
number of workers, Ray's start included; all give the same points. The data set is 10,000 small clips of one GOP, which
`hybrid extract` reads and prepares for training. No two clips have the same bytes. Memory is that of the command, its
workers and Ray, but for pages of files, such as libraries, which the whole machine shares; sampled every second.
Written are scale.json and scale.png.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

from hybrid.shipped import CHECKPOINT, CLIPS
from hybrid.video.transcode import Format, transcode

LAST_GOP = 36
"""Frame at which the last GOP of the shipped clip begins."""
SMALL = ("--set", "input.resize=16", "--set", "input.crop=16", "--set", "training.later_starts=false")
"""Settings that make small entries of the cache."""
SETTLED = 0.2
"""Share of the clips after which memory should no longer grow."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """One number of workers.

    Attributes:
        seconds: of the whole command.
        speedup: time with one worker over this one's.
        points: of the sweep.
    """

    workers: int
    seconds: float
    speedup: float
    points: int


@dataclass(frozen=True, slots=True)
class Memory:
    """A data set prepared; sizes in MB, times in seconds.

    Attributes:
        samples: time, clips done, memory of all processes, memory of the driver alone.
        peak: the most that all processes took.
        slope: growth of all processes per 1,000 clips, once settled.
        driver_slope: of the driver alone.
    """

    clips: int
    workers: int
    seconds: float
    samples: tuple[tuple[float, int, float, float], ...]
    peak: float
    slope: float
    driver_slope: float


def sweeps(numbers: list[int], clips: int, out: Path) -> list[Sweep]:
    """The same sweep with each number of workers."""
    data = out / "labelled"
    for i in range(clips):
        label = ("Run", "Sit")[i % 2]
        (data / label).mkdir(parents=True, exist_ok=True)
        (data / label / f"{label}_{i}_0.avi").write_bytes(different(CLIPS[i % 2], i))
    given = ["sweep", CHECKPOINT, "--calibrate", CLIPS[0], "--data", data, "--chip", "loihi2", "--chip", "loihi1"]
    given += ["--host", "orin64", "--json"]
    found: list[Sweep] = []
    results = []
    for workers in numbers:
        begin = time.perf_counter()
        text = subprocess.run(
            command(*given, "--workers", workers, "--out", out / f"sweep-{workers}"),
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        seconds = time.perf_counter() - begin
        results.append(json.loads(text)["points"])
        first = found[0].seconds if found else seconds
        found.append(Sweep(workers, seconds, first / seconds, len(results[-1])))
    if any(points != results[0] for points in results):
        raise SystemExit("the points differ with the number of workers")
    return found


def memory(clips: int, workers: int, out: Path) -> Memory:
    """Prepare a data set for training: many small clips of one GOP, no two of the same bytes."""
    data, cache, small = out / "clips" / "Run", out / "cache", out / "small.avi"
    data.mkdir(parents=True)
    transcode(CLIPS[0], small, Format(lines=64, start=LAST_GOP))
    for i in range(clips):
        (data / f"Run_{i:06}_0.avi").write_bytes(different(small, i))
    begin, samples = time.perf_counter(), list[tuple[float, int, float, float]]()
    given = command("extract", data.parent, "--cache", cache, "--workers", workers, *SMALL)
    with subprocess.Popen(given, stdout=subprocess.DEVNULL, start_new_session=True) as driver:
        while driver.poll() is None:
            everybody, own = sizes(driver.pid)
            done = sum(1 for _ in cache.glob("*.safetensors"))
            samples.append((time.perf_counter() - begin, done, everybody, own))
            time.sleep(1)
    if driver.returncode:
        raise SystemExit(f"the command ended with {driver.returncode}")
    seconds = time.perf_counter() - begin
    settled = np.array([x for x in samples if SETTLED * clips < x[1] < clips])
    if len(settled) < 2:
        raise SystemExit(f"{clips} clips are done too soon to see memory grow: give more --clips")
    slope, driver_slope = (float(np.polyfit(settled[:, 1], settled[:, i], 1)[0]) * 1000 for i in (2, 3))
    return Memory(clips, workers, seconds, tuple(samples), max(x[2] for x in samples), slope, driver_slope)


def different(clip: Path, number: int) -> bytes:
    """A clip with bytes of its own, so that nothing prepared for another one is taken for it."""
    return clip.read_bytes() + b"JUNK" + struct.pack("<II", 4, number)


def command(*words: object) -> list[str]:
    """A command of this package, run by this Python."""
    return [sys.executable, "-m", "hybrid", *map(str, words)]


def sizes(driver: int) -> tuple[float, float]:
    """Memory of all processes of a session, and of its first process alone, in MB: all but the pages of files."""
    everybody = own = 0.0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
            if session == driver:
                text = (entry / "smaps_rollup").read_text()
                size = sum(int(text.partition(f"\n{name}:")[2].split()[0]) for name in ("Pss_Anon", "Pss_Shmem")) / 1024
                everybody += size
                own = size if int(entry.name) == driver else own
        except (OSError, IndexError, ValueError):  # it has ended
            continue
    return everybody, own


def draw(found: list[Sweep], used: Memory, target: Path) -> None:
    """Speed-up by workers, and memory by clips."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot([x.workers for x in found], [x.speedup for x in found], marker="o")
    left.axhline(os.cpu_count() or 1, color="grey", linestyle="--", label=f"{os.cpu_count()} cores")
    left.set(xlabel="workers", ylabel="speed-up of the sweep", ylim=(0, None), xticks=[x.workers for x in found])
    left.legend(frameon=False)
    done, everybody, own = (np.array([x[i] for x in used.samples]) for i in (1, 2, 3))
    right.plot(done, everybody, label=f"driver, {used.workers} workers and Ray")
    right.plot(done, own, label="driver")
    right.set(xlabel="clips done", ylabel="memory [MB]", ylim=(0, None))
    right.legend(frameon=False)
    for panel in (left, right):
        panel.grid(alpha=0.3)
    figure.savefig(target, dpi=110)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/scale"), help="folder to write to; emptied")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="numbers of workers of the sweep")
    parser.add_argument("--labelled", type=int, default=16, help="clips that each point of the sweep is measured on")
    parser.add_argument("--clips", type=int, default=10_000, help="clips in the data set")
    parser.add_argument("--crew", type=int, default=os.cpu_count() or 1, help="workers that prepare the data set")
    arguments = parser.parse_args()
    out, console = arguments.out, Console(width=120)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    others = os.getloadavg()[0]
    found = sweeps(arguments.workers, arguments.labelled, out)
    table = Table("workers", "seconds", "speed-up", title=f"a sweep of {found[0].points} points")
    for row in found:
        table.add_row(str(row.workers), f"{row.seconds:.1f}", f"{row.speedup:.2f}")
    console.print(table)
    used = memory(arguments.clips, arguments.crew, out)
    console.print(
        f"{used.clips:,} clips by {used.workers} workers: {used.seconds:.0f} s, at most {used.peak:.0f} MB; "
        f"{used.slope:+.2f} MB per 1,000 clips, of which the driver {used.driver_slope:+.2f} MB"
    )
    document = {"sweeps": [asdict(x) for x in found], "memory": asdict(used), "cores": os.cpu_count(),
                "load_before": others}  # fmt: skip
    (out / "scale.json").write_text(json.dumps(document, indent=1) + "\n")
    draw(found, used, out / "scale.png")


if __name__ == "__main__":
    main()
