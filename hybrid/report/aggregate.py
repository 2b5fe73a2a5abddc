"""Add up the videos of a run in one pass, keeping every detail of the first ones only."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from hybrid.errors import HybridError
from hybrid.report.model import (
    DETAILED,
    Band,
    Counts,
    Energy,
    EnergyPart,
    Failure,
    Latency,
    Spread,
    VideoResult,
)

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The videos of a run and their means, as `Report` names them."""

    videos: tuple[VideoResult, ...]
    failures: tuple[Failure, ...]
    counts: Counts
    energy_j: Energy
    latency_s: Latency
    throughput_vps: Band
    stages_s: dict[str, Band]
    step_s: tuple[Band, ...]
    core_load: tuple[float, ...]
    spread: dict[str, Spread]


class _Sums(BaseModel):
    """What is added up, video after video."""

    counts: Counts
    energy: Band
    by_part: dict[str, Band]
    by_kind: tuple[Band, ...]
    latency: Latency
    throughput: Band
    stages: dict[str, Band]
    steps: tuple[Band, ...]
    cores: tuple[float, ...]


def aggregate(outcomes: Iterable[VideoResult | Failure]) -> Aggregate:
    """Means, spread and rows of the outcomes, taken one by one.

    Raises:
        HybridError: where no video could be classified; with the first failure.
    """
    videos: list[VideoResult] = []
    failures: list[Failure] = []
    sums: _Sums | None = None
    kinds: tuple[EnergyPart, ...] = ()
    for outcome in outcomes:
        if isinstance(outcome, Failure):
            failures.append(outcome)
            continue
        kinds = kinds or outcome.energy_j.by_kind
        now = _sums(outcome)
        sums = now if sums is None else _added(sums, now)
        videos.append(outcome if len(videos) < DETAILED else _slim(outcome))
    if sums is None:
        first = failures[0]
        raise HybridError(first.where, f"none of {len(failures)} videos could be classified: {first.what}", first.fix)
    mean = _scaled(sums, 1 / len(videos))
    by_kind = tuple(part.model_copy(update={"energy_j": j}) for part, j in zip(kinds, mean.by_kind, strict=True))
    return Aggregate(
        tuple(videos), tuple(failures), mean.counts,
        Energy(**mean.energy.model_dump(), by_part=mean.by_part, by_kind=by_kind),
        mean.latency, mean.throughput, mean.stages, mean.steps, mean.cores, _spreads(videos),
    )  # fmt: skip


def mean(records: Sequence[Record]) -> Record:
    """The field-wise mean of records made of numbers, and of further records, tuples and dicts of them."""
    total = records[0]
    for record in records[1:]:
        total = _added(total, record)
    return _scaled(total, 1 / len(records))


def _sums(video: VideoResult) -> _Sums:
    energy = video.energy_j
    return _Sums.model_construct(
        counts=video.counts, energy=Band(low=energy.low, nominal=energy.nominal, high=energy.high),
        by_part=energy.by_part, by_kind=tuple(part.energy_j for part in energy.by_kind), latency=video.latency_s,
        throughput=video.throughput_vps, stages=video.stages_s, steps=video.step_s, cores=video.core_load,
    )  # fmt: skip


def _added(left: Record, right: Record) -> Record:
    names = type(left).model_fields
    values: dict[str, Any] = {name: _plus(getattr(left, name), getattr(right, name)) for name in names}
    return type(left).model_construct(**values)


def _plus(left: object, right: object) -> object:
    if isinstance(left, BaseModel) and isinstance(right, BaseModel):
        return _added(left, right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return tuple(_plus(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return {key: _plus(value, right[key]) for key, value in left.items()}
    return left + right  # type: ignore[operator]


def _scaled(record: Record, factor: float) -> Record:
    names = type(record).model_fields
    values: dict[str, Any] = {name: _times(getattr(record, name), factor) for name in names}
    return type(record).model_construct(**values)


def _times(value: object, factor: float) -> object:
    if isinstance(value, BaseModel):
        return _scaled(value, factor)
    if isinstance(value, tuple):
        return tuple(_times(item, factor) for item in value)
    if isinstance(value, dict):
        return {key: _times(item, factor) for key, item in value.items()}
    return value * factor  # type: ignore[operator]


def _slim(video: VideoResult) -> VideoResult:
    energy = video.energy_j.model_copy(update={"by_kind": ()})
    return video.model_copy(update={"energy_j": energy, "step_s": (), "core_load": (), "timeline": ()})


def _spreads(videos: Sequence[VideoResult]) -> dict[str, Spread]:
    columns = {
        "energy_j": [video.energy_j.nominal for video in videos],
        "response_s": [video.latency_s.response.nominal for video in videos],
        "per_gop_s": [video.latency_s.per_gop.nominal for video in videos],
        "throughput_vps": [video.throughput_vps.nominal for video in videos],
        "synops": [video.counts.synops for video in videos],
        "spikes": [video.counts.spikes for video in videos],
        "probability": [video.prediction.probabilities[video.prediction.label] for video in videos],
    }
    return {name: _spread(values) for name, values in columns.items()}


def _spread(values: Sequence[float]) -> Spread:
    return Spread(
        mean=statistics.fmean(values), std=statistics.pstdev(values), low=min(values),
        median=statistics.median(values), high=max(values),
    )  # fmt: skip
