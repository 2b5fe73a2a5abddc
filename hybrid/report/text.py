"""The report in a few lines for a terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.markup import escape

from hybrid.report.model import Band, Report, Spread

FEW = 8
"""Videos up to which each is shown."""
SHOWN = 10
"""Classes that the summary of many videos counts, the most frequent first."""

PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def summary(report: Report) -> str:
    """Prediction, energy and response of the videos, then what was compared; with rich's markup."""
    videos = report.videos
    lines = _each(report) if len(videos) + len(report.failures) <= FEW else _together(report)
    if report.exact:
        lines.append(f"exact: {', '.join(report.checked)} agree bit for bit, both streams, every layer, every step")
    lines += [f"not compared: {backend} ({escape(why)})" for backend, why in report.not_checked.items()]
    return "\n".join(lines)


def _each(report: Report) -> list[str]:
    lines = []
    for video in report.videos:
        label = video.prediction.label
        share = video.prediction.probabilities[label]
        lines.append(f"[bold]{escape(Path(video.video).name)}[/bold]: [bold]{escape(label)}[/bold] ({share:.0%})")
        lines.append(f"  energy    {band(video.energy_j, 'J')} per video")
        lines.append(f"  response  {band(video.latency_s.response, 's')} after the last P-frame of a GOP")
    return lines


def _together(report: Report) -> list[str]:
    called = Counter(video.prediction.label for video in report.videos)
    failed = f", {len(report.failures):,} failed" if report.failures else ""
    energy, response = report.spread["energy_j"], report.spread["response_s"]
    return [
        f"[bold]{len(report.videos):,} videos[/bold] classified{failed}: "
        + ", ".join(f"{escape(label)} {count:,}" for label, count in called.most_common(SHOWN)),
        f"  energy    {band(report.energy_j, 'J')} per video; {_between(energy, 'J')}",
        f"  response  {band(report.latency_s.response, 's')}; {_between(response, 's')}",
    ]


def _between(spread: Spread, unit: str) -> str:
    return f"from video to video {si(spread.low, unit)} to {si(spread.high, unit)}, std {si(spread.std, unit)}"


def band(value: Band, unit: str) -> str:
    """An estimate with its band, such as `1.2 mJ (0.9 mJ to 2 mJ)`."""
    return f"{si(value.nominal, unit)} ({si(value.low, unit)} to {si(value.high, unit)})"


def si(value: float, unit: str) -> str:
    """A number with three digits and an SI prefix, such as `1.23 mJ`."""
    if value == 0:
        return f"0 {unit}"
    scale, prefix = next((p for p in PREFIXES if abs(value) >= p[0]), PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{unit}"


def number(value: float) -> str:
    """A number without a unit: whole from 1,000 on, else with three digits."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
