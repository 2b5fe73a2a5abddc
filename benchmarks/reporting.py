"""What results and report cost a run, and how fast the page of a large run opens.

    python benchmarks/reporting.py [--videos 20] [--pairs 5] [--rows 1000] [--json reporting.json]

The shipped clips, each under several names, are classified in this process in turns: bare (`run_videos` alone), written
(with a line per video, the trace and the report), and whole, as `hybrid run` does it: the first video also goes to all
other chips and to the whole model alone, which is more simulation and measurement rather than reporting, and costs the
same however many videos a run has. The difference to the bare run counts, as the median over the turns; the first turn
is left out. What is made once per run is timed alone as well. The page of `--rows` videos (the rows of the real run,
repeated) is opened in Chromium where there is one: interactive is when its load event is over and a table was sorted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from hwsim.chip import load
from hybrid.bundle import Bundle, load_bundle
from hybrid.compile import compile_model
from hybrid.model.checkpoint import load_checkpoint
from hybrid.partition import Aim
from hybrid.platform import load_host, load_link
from hybrid.report.model import Report
from hybrid.report.render import write_report
from hybrid.report.trace import write_trace
from hybrid.runtime.alternatives import alternatives_of
from hybrid.runtime.classify import Classified
from hybrid.runtime.clip import load_clip
from hybrid.runtime.folder import run_to_folder
from hybrid.runtime.journal import Journal, Settings
from hybrid.runtime.run import run_videos, settings_of
from hybrid.runtime.trace import trace_of
from hybrid.shipped import CHECKPOINT, CLIPS

PINS = ("stm_motion", "stm_residual")
SORTED = """() => { const begin = performance.now(); document.querySelectorAll('#videos th button')[4].click();
    document.body.getBoundingClientRect(); return performance.now() - begin; }"""


def main() -> None:
    """Measure, print, and write JSON on demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        bundle, videos = _bundle(root / "bundle"), _videos(root / "videos", given.videos)
        settings = settings_of(bundle, device="cpu")
        found = _overhead(bundle, videos, settings, root, given.pairs) | _once(bundle, videos, settings, root)
        found |= _page(run_videos(bundle, videos, settings), given.rows, root / "page")
    table = Table(
        "what", "measured", title=f"{given.videos} videos, {given.pairs} turns, {len(os.sched_getaffinity(0))} cores"
    )
    for what, value in found.items():
        table.add_row(what, f"{value:,.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


def _bundle(folder: Path) -> Bundle:
    checkpoint = load_checkpoint(CHECKPOINT)
    views = load_clip(CLIPS[0], checkpoint.model.config.input)
    targets = load("loihi2"), load_host("horowitz45"), load_link("pcie4")
    compile_model(checkpoint, views, *targets, folder, aim=Aim(PINS))
    return load_bundle(folder)


def _videos(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    found = [folder / f"v{i:04}.avi" for i in range(count)]
    for i, path in enumerate(found):
        path.symlink_to(CLIPS[i % len(CLIPS)])
    return found


def _overhead(bundle: Bundle, videos: list[Path], settings: Settings, root: Path, pairs: int) -> dict[str, Any]:
    """Seconds of three kinds of run in turns, and what the second and third take more than the first."""
    fresh = (root / f"run{i}" for i in itertools.count())

    def look(video: Path, classified: Classified) -> None:
        write_trace(trace_of(bundle, video.name, classified, torch.device("cpu")), root)

    def written() -> None:
        journal = Journal(next(fresh), settings)
        write_report(run_videos(bundle, videos, settings, journal=journal, look=look), journal.folder)
        journal.close()

    def whole() -> None:
        journal = Journal(next(fresh), settings)
        run_to_folder(bundle, videos, settings, journal.folder, journal=journal)
        journal.close()

    kinds = {"bare": lambda: run_videos(bundle, videos, settings), "written": written, "whole": whole}
    turns = [{name: _seconds(kind) for name, kind in kinds.items()} for _ in range(pairs + 1)][1:]
    found: dict[str, Any] = {f"{name} run, s": statistics.median(turn[name] for turn in turns) for name in kinds}
    for name in ("written", "whole"):
        shares = [turn[name] / turn["bare"] - 1 for turn in turns]
        found |= {f"{name}: overhead": statistics.median(shares), f"{name}: each": [round(x, 3) for x in shares]}
    return found


def _once(bundle: Bundle, videos: list[Path], settings: Settings, root: Path) -> dict[str, Any]:
    """What is made once per run."""
    seen: list[Classified] = []
    report = run_videos(bundle, videos, settings, look=lambda video, classified: seen.append(classified))
    parts: dict[str, Callable[[], object]] = {
        "trace.json, s": lambda: write_trace(trace_of(bundle, "v", seen[0], torch.device("cpu")), root),
        "other chips and the CPU alone, s": lambda: alternatives_of(bundle, "v", seen[0], settings, _silent),
        "report in four formats, s": lambda: write_report(report, root / "report"),
    }
    return {name: min(_seconds(part) for _ in range(3)) for name, part in parts.items()}


def _page(report: Report, rows: int, folder: Path) -> dict[str, Any]:
    videos = tuple(
        report.videos[i % len(report.videos)].model_copy(update={"video": f"clips/video{i:05}.avi"})
        for i in range(rows)
    )
    _, page = write_report(report.model_copy(update={"videos": videos}), folder)
    found: dict[str, Any] = {f"page of {rows:,} videos, kB": page.stat().st_size // 1000}
    try:
        opened = _browser()
    except ImportError:
        return found
    with opened as browser:
        loads, sorts = [], []
        for _ in range(5):
            browser.open(page)
            timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            loads.append(browser.run(timing) / 1e3)
            sorts.append(browser.run(SORTED) / 1e3)
    pairs = [a + b for a, b in zip(loads, sorts, strict=True)]
    return found | {"loaded, s": statistics.median(loads), "interactive, sorted once, s": statistics.median(pairs)}


def _browser() -> AbstractContextManager[Any]:
    from tools.browser import browser

    return browser()


def _silent(what: str, done: int, total: int) -> None:
    """Tell nobody."""


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
