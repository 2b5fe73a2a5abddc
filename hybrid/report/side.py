"""One side of a comparison: the key figures of a run, or what a bundle predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from hybrid.report.constants import all_constants
from hybrid.report.load import load_report
from hybrid.report.model import Band, ConstantRow, Counts, Report

STATIC = "static"
NO_J = Band(low=0, nominal=0, high=0)
COUNTS = tuple(Counts.model_fields)


class Figure(BaseModel):
    """One key figure of one side."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Band
    unit: str
    how: str = Field(description="counted, modelled, measured, or a mixture of the last two")
    kinds: dict[str, Band] = Field(default={}, description="what an energy is made of: `part: event` to joules")


class Side(BaseModel):
    """A run, or a bundle's prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: str = Field(description="`run` or `prediction`")
    title: str
    videos: int = Field(description="classified; 0 for a prediction")
    figures: dict[str, Figure]
    constants: tuple[ConstantRow, ...]
    labels: dict[str, str] = Field(description="predicted class by file name of the video")


def load_side(path: Path) -> Side:
    """The key figures of a run's folder, of a report.json, or of a bundle.

    Raises:
        BadInputError: for what is none of these.
    """
    from hybrid.bundle import MANIFEST, load_bundle

    if (path / MANIFEST).is_file():
        return _prediction(str(path), load_bundle(path).manifest)
    return of_report(str(path), load_report(path))


def of_report(name: str, report: Report) -> Side:
    """The key figures of a run, per video unless their names say otherwise."""
    views = int(report.model["views"])
    energy = report.energy_j
    kinds = {f"{part.part}: {part.kind}": part.energy_j for part in energy.by_kind}
    moving = {kind: _times(joules, 1 / views) for kind, joules in kinds.items() if not kind.endswith(STATIC)}
    figures = {
        "energy": Figure(value=_band(energy), unit="J", how="modelled", kinds=kinds),
        **{
            f"energy, {part}": Figure(
                value=joules, unit="J", how="modelled",
                kinds={kind: value for kind, value in kinds.items() if kind.startswith(f"{part}:")},
            )
            for part, joules in energy.by_part.items()
        },
        "energy per GOP without static power": Figure(value=_sum(moving), unit="J", how="modelled", kinds=moving),
        "response": Figure(value=report.latency_s.response, unit="s", how="modelled and measured"),
        "compute time of a GOP": Figure(value=report.latency_s.per_gop, unit="s", how="modelled and measured"),
        "longest step": Figure(value=report.latency_s.step_max, unit="s", how="modelled"),
        "throughput": Figure(value=report.throughput_vps, unit="V/s", how="modelled and measured"),
        "cores": _count(len(report.chip.cores)),
        "chips": _count(report.chip.chips),
        **{count.replace("_", " "): _count(getattr(report.counts, count)) for count in COUNTS},
    }  # fmt: skip
    labels = {Path(video.video).name: video.prediction.label for video in report.videos}
    return Side(
        name=name, kind="run", title=report.title, videos=len(report.videos), figures=figures,
        constants=report.constants, labels=labels,
    )  # fmt: skip


def _prediction(name: str, manifest: Any) -> Side:
    plan, kinds = manifest.plan, dict[str, Band]()
    for op in plan["ops"]:
        joules = op["chip_j"] if op["target"] == "chip" else op["host_j"]
        if joules is not None:
            kinds[f"{op['target']}: {op['op']}"] = Band(**joules)
    for crossing in plan["crossings"]:
        kinds[f"link: {crossing['op']} to the {crossing['to']}"] = Band(**crossing["energy_j"])
    figures = {"energy per GOP without static power": Figure(value=_sum(kinds), unit="J", how="modelled", kinds=kinds)}
    if plan["predicted_s_per_gop"] is not None:
        seconds = plan["predicted_s_per_gop"]
        value = Band(low=seconds, nominal=seconds, high=seconds)
        figures["compute time of a GOP"] = Figure(value=value, unit="s", how="modelled")
    figures["cores"] = _count(plan["cores"])
    constants = all_constants(manifest.chip, manifest.host, manifest.link)
    title = f"{manifest.model.name} on {manifest.chip.name}, as planned"
    return Side(name=name, kind="prediction", title=title, videos=0, figures=figures, constants=constants, labels={})


def _count(value: float) -> Figure:
    return Figure(value=Band(low=value, nominal=value, high=value), unit="", how="counted")


def _band(value: Band) -> Band:
    return Band(low=value.low, nominal=value.nominal, high=value.high)


def _times(value: Band, factor: float) -> Band:
    return Band(low=value.low * factor, nominal=value.nominal * factor, high=value.high * factor)


def _sum(kinds: dict[str, Band]) -> Band:
    values = list(kinds.values()) or [NO_J]
    return Band(
        low=sum(x.low for x in values), nominal=sum(x.nominal for x in values), high=sum(x.high for x in values)
    )
