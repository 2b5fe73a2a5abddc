"""Rows as flat records, one key per column, for every output alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.tables.chips import OnChip, nothing_to_map, on_gpu
from benchmarks.tables.measure import Speed
from benchmarks.tables.rows import Ablation, Row

Value = str | float | int | None
Record = dict[str, Value]

DATA = ("UCF-101", "HMDB-51", "SS-v2", "K-400", "K-600")
"""Data sets of the paper's tables."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the output.

    Attributes:
        name: of its file.
        title: above it.
        note: below the title.
        records: its rows; all have the same keys.
    """

    name: str
    title: str
    note: str
    records: list[Record]


def method_record(row: Row, on_chips: Mapping[str, list[OnChip]], speeds: Mapping[str, Speed]) -> Record:
    """A row of tables 1 and 2."""
    method, stated, protocol = row.method, row.stated, row.method.protocol
    chips = nothing_to_map(method) or "; ".join(c.text for c in on_chips.get(method.name, []))
    speed = speeds.get(method.name)
    return {
        "method": method.name + (" †" if method.filled_in else ""),
        "modality": stated.modality,
        "parameters [M]": method.parameters() / 1e6,
        "paper: parameters [M]": stated.parameters_m,
        "protocol": protocol.text,
        "views": protocol.views,
        "GMAC per view": method.macs_per_view(protocol) / 1e9,
        "authors: GMAC per view": method.stated_gmac,
        "TMAC per video": method.macs_per_video(protocol) / 1e12,
        "GAC per video": row.acs / 1e9 if row.acs else None,
        "J/V": row.joules,
        "paper: J/V": stated.joules,
        "difference": f"{row.difference():+.1%}",
        "what gives the paper's figure": row.verdict,
        **{f"paper: {name} [%]": stated.accuracy.get(name) for name in DATA},
        "paper: V/s": stated.speed,
        "V/s on this CPU": speed.videos_per_second if speed else None,
        "of it reading [s/video]": speed.reading_s if speed else None,
        "J/V on an H100, by profile": on_gpu(method),
        "on a chip": chips,
        "filled in": method.filled_in,
        "source": method.source,
    }  # fmt: skip


def ablation_record(row: Ablation) -> Record:
    """A row of the table of switches; our own accuracies stand apart, they are of other data and a smaller model."""
    return {
        "switch": row.name,
        "parameters [M]": row.parameters / 1e6,
        "GMAC per video": row.macs / 1e9,
        "the same by hybrid.graph": row.macs_by_graph / 1e9,
        "GAC per video": row.acs / 1e9,
        "J/V": row.joules,
        "paper: J/V": row.stated_joules,
        "paper: UCF-101 [%]": row.stated_top1,
        "ours: ARID, tiny, top-1 [%]": row.measured,
    }


def without_empty(records: list[Record]) -> list[Record]:
    """Without the columns that no row fills."""
    kept = [key for key in records[0] if any(record[key] not in (None, "") for record in records)]
    return [{key: record[key] for key in kept} for record in records]


def text(value: Value) -> str:
    """A value as the reader sees it: four digits, nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
    return str(value)
