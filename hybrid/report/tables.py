"""A report as text that other tools read: Markdown, and a table of its videos as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from hybrid.report.model import Alternative, Report
from hybrid.report.text import band, number, si

SPREADS = {
    "energy_j": ("energy", "J"), "response_s": ("response", "s"), "per_gop_s": ("compute time of a GOP", "s"),
    "throughput_vps": ("throughput [V/s]", ""), "synops": ("synaptic operations", ""), "spikes": ("spikes", ""),
    "probability": ("probability of the prediction", ""),
}  # fmt: skip
"""Figures whose spread is shown, with their titles and units."""
LISTED = 50
"""Videos and failures in the Markdown text."""
HEADINGS = (
    "video", "prediction", "probability", "exact", "precision", "energy_low_j", "energy_j", "energy_high_j",
    "response_low_s", "response_s", "response_high_s", "per_gop_s", "throughput_vps", "synops", "spikes", "acs",
    "macs", "link_bytes", "error",
)  # fmt: skip


def to_csv(report: Report) -> str:
    """One row per video, those that failed last with their error."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADINGS)
    for video in report.videos:
        energy, response, label = video.energy_j, video.latency_s.response, video.prediction.label
        rows.writerow((
            video.video, label, video.prediction.probabilities[label], "" if video.exact is None else video.exact,
            video.precision,
            energy.low, energy.nominal, energy.high, response.low, response.nominal, response.high,
            video.latency_s.per_gop.nominal, video.throughput_vps.nominal, video.counts.synops, video.counts.spikes,
            video.counts.acs, video.counts.macs, video.counts.link_bytes, "",
        ))  # fmt: skip
    for failure in report.failures:
        rows.writerow((failure.video, *[""] * (len(HEADINGS) - 2), failure.what))
    return text.getvalue()


def to_markdown(report: Report) -> str:
    """Verdict, spread, parts, comparisons and the first videos."""
    exact = f"{', '.join(report.checked)} agree bit for bit" if report.exact else "not checked"
    rate = report.throughput_vps
    lines = [
        f"# {_cell(report.title)}", "",
        f"Spiking part on {report.chip.title} (simulated and modelled), ANN part on {report.device} in "
        f"{report.precision} (measured). {len(report.videos):,} videos, {len(report.failures):,} failed.", "",
        "| per video | nominal (low to high) |", "|---|---|",
        f"| energy | {band(report.energy_j, 'J')} |",
        *(f"| energy, {part} | {band(joules, 'J')} |" for part, joules in report.energy_j.by_part.items()),
        f"| response after the last P-frame | {band(report.latency_s.response, 's')} |",
        f"| throughput, pipelined | {rate.nominal:.1f} V/s ({rate.low:.1f} to {rate.high:.1f}) |",
        f"| exact | {exact} |",
    ]  # fmt: skip
    if report.spread:
        lines += ["", "| from video to video | mean | std | smallest | median | largest |", "|---|---|---|---|---|---|"]
        for name, (title, unit) in SPREADS.items():
            s = report.spread[name]
            numbers = (si(x, unit) if unit else number(x) for x in (s.mean, s.std, s.low, s.median, s.high))
            lines.append(f"| {title} | {' | '.join(numbers)} |")
    lines += ["", "| against | energy | note |", "|---|---|---|"]
    lines += [f"| {c.name} | {band(c.energy_j, 'J')} | {c.note} |" for c in report.comparisons]
    if report.alternatives is not None:
        lines += ["", f"{_cell(Path(report.alternatives.video).name)} in other ways:", ""]
        lines += ["| where | energy | is | compute time of a GOP | is | note |", "|---|---|---|---|---|---|"]
        lines += [_alternative(row) for row in report.alternatives.rows]
    lines += ["", "| video | prediction | energy | response |", "|---|---|---|---|", *_videos(report)]
    if report.failures:
        lines += ["", "| failed | what |", "|---|---|"]
        lines += [f"| {_cell(f.video)} | {_cell(f.what)} |" for f in report.failures[:LISTED]]
    return "\n".join(lines) + "\n"


def _alternative(row: Alternative) -> str:
    energy, per_gop = ("-" if x is None else band(x, unit) for x, unit in ((row.energy_j, "J"), (row.per_gop_s, "s")))
    return f"| {row.name} | {energy} | {row.energy_is or row.kind} | {per_gop} | {row.time_is or ''} | {row.note} |"


def _videos(report: Report) -> list[str]:
    rows = []
    for video in report.videos[:LISTED]:
        label = video.prediction.label
        share = f"{_cell(label)} ({video.prediction.probabilities[label]:.0%})"
        figures = f"{si(video.energy_j.nominal, 'J')} | {si(video.latency_s.response.nominal, 's')}"
        rows.append(f"| {_cell(Path(video.video).name)} | {share} | {figures} |")
    if len(report.videos) > LISTED:
        rows.append(f"| and {len(report.videos) - LISTED:,} more in videos.csv | | | |")
    return rows


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
