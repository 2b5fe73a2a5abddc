"""Rows as flat records, one key per column, for every output alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.tables.chips import CHIPS, HOSTS, NONE, Spiking, split, stays
from benchmarks.tables.count import count
from benchmarks.tables.measure import Speed, devices
from benchmarks.tables.rows import Ablation, Row
from hwsim.chip import load
from hwsim.quantity import Range

Value = str | float | int | Range | None
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


def named(row: Row) -> str:
    """The method's name, marked where its architecture is not published in full."""
    return row.method.name + (" †" if row.method.filled_in else "")


def method_record(row: Row) -> Record:
    """A row of tables 1 and 2."""
    method, stated, protocol = row.method, row.stated, row.method.protocol
    return {
        "method": named(row),
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
        "filled in": method.filled_in,
        "source": method.source,
    }  # fmt: skip


def chip_record(row: Row, spiking: Mapping[str, Spiking]) -> Record:
    """A row of the table of chips; `spiking` has the method's spiking layers by chip."""
    method, record = row.method, Record(method=named(row))
    parts = [count(part) for part in method.parts if part.name in method.protocol.runs]
    record["layers"] = sum(len(part.layers) - 1 for part in parts)
    record["of them spiking"] = sum(part.spiking_layers for part in parts)
    for host, title in HOSTS.items():
        record[f"{title} alone: J/V"] = split(method, host).energy
        for chip, name in CHIPS.items():
            found = split(method, host, chip, spiking.get(chip, NONE))
            record[f"{name} + {title}: J/V"] = found.energy
            # Loihi 2 takes the same layers whatever stands beside it
            key = f"{name} + {title}" if load(chip).core.ann_bits else name
            record[f"{key}: MACs on it [%]"] = 100 * found.share
            record[f"{key}: chips"] = -(-found.cores // load(chip).mesh.cores)
    record["what stays on the host"] = stays(method, spiking)
    return record


def speed_record(row: Row, speed: Speed) -> Record:
    """A row of the table of speeds."""
    record: Record = {"method": named(row), "modality": row.stated.modality, "views": row.method.protocol.views}
    record["decoding or reading [s/video]"] = speed.reading_s
    record["decoding to RGB instead [s/video]"] = speed.decoding_s
    record["saved by not decoding [s/video]"] = speed.saved_s
    record["scaling and cropping [s/video]"] = speed.scaling_s
    for device in devices():
        record[f"networks on {device} [s/video]"] = speed.networks_s.get(device)
        record[f"V/s on {device}"] = speed.videos_per_second(device)
    return record | {"paper: V/s": row.stated.speed, "left out": speed.left_out}


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
        "ours, integers: ARID, tiny, top-1 [%]": row.measured_integers,
    }


def without_empty(records: list[Record]) -> list[Record]:
    """Without the columns that no row fills."""
    kept = [key for key in records[0] if any(record[key] not in (None, "") for record in records)]
    return [{key: record[key] for key in kept} for record in records]


def text(value: Value) -> str:
    """A value as the reader sees it: four digits, nothing for nothing, a range with its ends."""
    if value is None:
        return ""
    if isinstance(value, Range):
        return f"{_digits(value.nominal, 3)} ({_digits(value.low, 2)} to {_digits(value.high, 2)})"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
    return str(value)


def _digits(value: float, count: int) -> str:
    """So many digits, never an exponent; those in front of the point stand all."""
    return f"{value:.{count}g}" if value < 10 ** (count - 1) else f"{value:.0f}"


def flat(record: Record) -> dict[str, str | float | int | None]:
    """For a program: a range as three columns."""
    found: dict[str, str | float | int | None] = {}
    for key, value in record.items():
        if isinstance(value, Range):
            found |= {key: value.nominal, f"{key}, low": value.low, f"{key}, high": value.high}
        else:
            found[key] = value
    return found
