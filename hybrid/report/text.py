"""The report in a few lines for a terminal."""

from __future__ import annotations

from pathlib import Path

from hybrid.report.model import Band, Report

PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def summary(report: Report) -> str:
    """Prediction, energy and response of every video, then what was compared; with rich's markup."""
    lines = []
    for video in report.videos:
        label = video.prediction.label
        lines.append(
            f"[bold]{Path(video.video).name}[/bold]: [bold]{label}[/bold] ({video.prediction.probabilities[label]:.0%})"
        )
        lines.append(f"  energy    {band(video.energy_j, 'J')} per video")
        lines.append(f"  response  {band(video.latency_s.response, 's')} after the last P-frame of a GOP")
    if report.exact:
        lines.append(f"exact: {', '.join(report.checked)} agree bit for bit, both streams, every layer, every step")
    lines += [f"not compared: {backend} ({why})" for backend, why in report.not_checked.items()]
    return "\n".join(lines)


def band(value: Band, unit: str) -> str:
    """An estimate with its band, such as `1.2 mJ (0.9 mJ to 2 mJ)`."""
    return f"{si(value.nominal, unit)} ({si(value.low, unit)} to {si(value.high, unit)})"


def si(value: float, unit: str) -> str:
    """A number with three digits and an SI prefix, such as `1.23 mJ`."""
    if value == 0:
        return f"0 {unit}"
    scale, prefix = next((p for p in PREFIXES if abs(value) >= p[0]), PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{unit}"
