"""The report's figures as data: bars and columns in percent of the room they have, cores in places of a grid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hybrid.report.model import Band, Report
from hybrid.report.text import band, si

BINS = 24
"""Columns of a histogram."""
CLASSES = 20
"""Predicted classes that are drawn, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar, or one column.

    Attributes:
        label: what it stands for.
        kind: `chip`, `link`, `ann`, `frames` or `plain`; gives the colour.
        start: where it begins, in percent.
        size: its length, in percent.
        whisker: from the low to the high value, in percent; None without a band.
        value: the number in words.
        hint: everything about it, in a line.
    """

    label: str
    kind: str
    start: float
    size: float
    whisker: tuple[float, float] | None
    value: str
    hint: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One core in use, at a place of the grid; `heat` is its busy time against the busiest, 0 to 1."""

    x: float
    y: float
    heat: float
    critical: bool
    hint: str


@dataclass(frozen=True, slots=True)
class Cores:
    """The mesh: cells in use, and the places of all cores."""

    cells: tuple[Cell, ...]
    places: tuple[tuple[float, float], ...]
    width: float
    height: float


def energy(report: Report) -> tuple[Bar, ...]:
    """Joules per video by part and event, with their bands."""
    parts = [part for part in report.energy_j.by_kind if part.energy_j.high > 0]
    names = [f"{part.part}: {part.kind}" for part in parts]
    hints = [f"{name}: {band(p.energy_j, 'J')}; {p.status}, {p.source}" for name, p in zip(names, parts, strict=True)]
    return bars(names, [p.part for p in parts], [p.energy_j for p in parts], "J", hints)


def timeline(report: Report) -> tuple[Bar, ...]:
    """What happens in the first video from the last P-frame of a GOP to the prediction."""
    spans = report.videos[0].timeline
    end = max(span.start_s + span.duration_s for span in spans)
    return tuple(
        Bar(
            f"{span.lane}: {span.name}", span.lane, 100 * span.start_s / end, 100 * span.duration_s / end, None,
            si(span.duration_s, "s"),
            f"{span.name}: begins at {si(span.start_s, 's')}, takes {si(span.duration_s, 's')}",
        )
        for span in spans
    )  # fmt: skip


def stages(report: Report) -> tuple[Bar, ...]:
    """How long each stage of the pipeline is busy per video; the longest sets the throughput."""
    found = report.stages_s or report.videos[0].stages_s
    kinds = {"reader": "frames", "link": "link", "chip": "chip", "ANN part": "ann"}
    return bars(list(found), [kinds.get(name, "plain") for name in found], list(found.values()), "s")


def steps(report: Report) -> tuple[Bar, ...]:
    """Length of each chip step, with its band."""
    bands = report.step_s or report.videos[0].step_s
    names = [str(i + 1) for i in range(len(bands))]
    hints = [f"step {name}: {band(seconds, 's')}" for name, seconds in zip(names, bands, strict=True)]
    return bars(names, ["chip"] * len(bands), bands, "s", hints)


def predictions(report: Report) -> tuple[Bar, ...]:
    """How often each class was predicted, the most frequent first."""
    called = Counter(video.prediction.label for video in report.videos).most_common(CLASSES)
    most = called[0][1]
    return tuple(
        Bar(label, "plain", 0, 100 * count / most, None, f"{count:,}", f"{label}: {count:,} videos")
        for label, count in called
    )


def histogram(values: Sequence[float], unit: str) -> tuple[Bar, ...]:
    """How many videos have a figure in each of `BINS` equal parts of its range; one column where all are equal."""
    low, high = min(values), max(values)
    width = (high - low) / BINS
    if width <= 0:
        return (Bar(si(low, unit), "plain", 0, 100, None, str(len(values)), f"all {len(values):,}: {si(low, unit)}"),)
    counts = Counter(min(int((value - low) / width), BINS - 1) for value in values)
    most = max(counts.values())
    edges = [low + i * width for i in range(BINS + 1)]
    return tuple(
        Bar(
            si(edges[i], unit), "plain", 0, 100 * counts[i] / most, None, str(counts[i]),
            f"{si(edges[i], unit)} to {si(edges[i + 1], unit)}: {counts[i]:,} videos",
        )
        for i in range(BINS)
    )  # fmt: skip


def cores(report: Report) -> Cores:
    """Busy time of every core on its place in the mesh; the busiest is marked."""
    chip, load = report.chip, report.core_load or report.videos[0].core_load
    side = math.ceil(math.sqrt(chip.cores_per_tile))
    busiest = max(range(len(load)), key=lambda i: load[i])
    top = load[busiest] or 1.0

    def place(number: int, x: int, y: int, slot: int) -> tuple[float, float]:
        column = (number * chip.tiles_x + x) * (side + 0.4) + slot % side + number
        return round(column, 2), round(y * (side + 0.4) + slot // side, 2)

    places = tuple(
        place(number, x, y, slot)
        for number in range(chip.chips)
        for x in range(chip.tiles_x)
        for y in range(chip.tiles_y)
        for slot in range(chip.cores_per_tile)
    )
    cells = tuple(
        Cell(
            *place(core.chip, core.x, core.y, core.slot), load[i] / top, i == busiest,
            f"core {core.id}: {core.layer}, {core.neurons:,} neurons, chip {core.chip}, tile ({core.x}, {core.y}), "
            f"busy {si(load[i], 's')} per video",
        )
        for i, core in enumerate(chip.cores)
    )  # fmt: skip
    return Cores(cells, places, max(x for x, _ in places) + 1, max(y for _, y in places) + 1)


def bars(
    names: Sequence[str], kinds: Sequence[str], bands: Sequence[Band], unit: str, hints: Sequence[str] = ()
) -> tuple[Bar, ...]:
    """One bar with its whisker per band; without hints, each says its name and its band."""
    top = max((b.high for b in bands), default=0) or 1.0
    hints = hints or [f"{name}: {band(b, unit)}" for name, b in zip(names, bands, strict=True)]
    return tuple(
        Bar(name, kind, 0, 100 * b.nominal / top, (100 * b.low / top, 100 * b.high / top), si(b.nominal, unit), hint)
        for name, kind, b, hint in zip(names, kinds, bands, hints, strict=True)
    )
