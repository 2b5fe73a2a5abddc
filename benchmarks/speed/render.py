"""The results as JSON, a table and a picture."""

from __future__ import annotations

import io
import statistics
from dataclasses import asdict
from typing import Any

from matplotlib.figure import Figure

from ann_part.roofline import Peaks, Work
from benchmarks.speed.row import Speed

COLUMNS = (
    "system", "views a video", "views at once", "GMAC a video, dense", "s a video", "spread", "videos/s",
    "against eager", "CPU s a video", "against eager, by CPU s", "J/V measured (above idle)",
    "J/V at 4.6 pJ a MAC, dense",
)  # fmt: skip


def best(speeds: list[Speed]) -> list[Speed]:
    """Each system at its fastest batch, in the order they ran."""
    names = dict.fromkeys(s.name for s in speeds)
    return [max((s for s in speeds if s.name == name), key=lambda s: s.videos_per_second) for name in names]


def eager_of(speed: Speed, speeds: list[Speed]) -> Speed | None:
    """The eager form of the same model of ours, at the same batch."""
    model = speed.name.partition(":")[0]
    return next((s for s in speeds if s.name == f"{model}: eager float model" and s.batch == speed.batch), None)


def as_json(speed: Speed) -> dict[str, Any]:
    """One system at one batch."""
    return {
        **asdict(speed), "seconds_per_video": statistics.median(speed.seconds), "spread": speed.spread,
        "videos_per_second": speed.videos_per_second, "accounted_j": speed.accounted_j,
    }  # fmt: skip


def table(speeds: list[Speed]) -> str:
    """Markdown, a line per system and batch."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for s in speeds:
        eager = eager_of(s, speeds) if s.name.startswith("ours") else None
        cpu_s = statistics.median(s.cpu_s)
        ratio = "" if eager is None else f"{s.videos_per_second / eager.videos_per_second:.2f}x"
        by_cpu = "" if eager is None else f"{statistics.median(eager.cpu_s) / cpu_s:.2f}x"
        total, above = s.energy.total_j, s.energy.above_idle_j
        joules = "no meter" if total is None else f"{total:.3g}" + ("" if above is None else f" ({above:.3g})")
        cells = (
            s.name, s.views, s.batch, f"{s.gmac:.1f}", f"{statistics.median(s.seconds):.2f}", f"{100 * s.spread:.0f} %",
            f"{s.videos_per_second:.3g}", ratio, f"{cpu_s:.2f}", by_cpu, joules, f"{s.accounted_j:.3g}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def roofline(peaks: Peaks, work: dict[str, Work], times: dict[str, dict[str, float]]) -> str:
    """Markdown, a line per kind of work; `times` are seconds by form and kind."""
    lines = ["| kind | Gop | MB | op/byte | roof Gop/s | "
             + " | ".join(f"{form}: ms | % of the roof" for form in times) + " |",
             "|---|---|---|---|---|" + "---|---|" * len(times)]  # fmt: skip
    for kind, w in work.items():
        roof = peaks.roof(w.intensity)
        cells = []
        for seconds in times.values():
            share = f"{100 * w.operations / seconds[kind] / roof:.0f}" if roof else "by bytes " + (
                f"{100 * w.bytes / seconds[kind] / peaks.bytes_per_s:.0f}")  # fmt: skip
            cells.append(f"{1e3 * seconds[kind]:.1f} | {share}")
        lines.append(f"| {kind} | {w.operations / 1e9:.1f} | {w.bytes / 1e6:.0f} | {w.intensity:.1f} "
                     f"| {roof / 1e9:.0f} | {' | '.join(cells)} |")  # fmt: skip
    return "\n".join(lines) + "\n"


def picture(speeds: list[Speed], where: str) -> bytes:
    """A PNG: each system's best videos per second, on a logarithmic axis."""
    rows = sorted(best(speeds), key=lambda s: s.videos_per_second)
    figure = Figure(figsize=(9, 0.42 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    colours = ["#0f9d8a" if s.name.startswith("ours") else "#5b6ee1" for s in rows]
    bars = axes.barh([s.name for s in rows], [s.videos_per_second for s in rows], color=colours)
    axes.bar_label(bars, [f"{s.videos_per_second:.3g}" for s in rows], padding=4, fontsize=8)
    axes.set(xscale="log", xlabel="videos per second, at the best batch", title=where)
    axes.margins(x=0.15)
    axes.grid(axis="x", alpha=0.25)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=110)
    return data.getvalue()
