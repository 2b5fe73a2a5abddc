"""From the results of videos to a Report."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from hwsim.mapping import utilization
from hwsim.quantity import Range
from hybrid.bundle import Bundle
from hybrid.platform import load_host
from hybrid.report.aggregate import Aggregate
from hybrid.report.constants import all_constants
from hybrid.report.model import (
    Band,
    ChipSummary,
    Comparison,
    CoreRow,
    Counts,
    PlanSummary,
    Precision,
    Report,
)

PAPER_J = 0.734
"""Das Biswas et al. 2025, table 1: J per video of the full-size model."""


@dataclass(frozen=True, slots=True)
class How:
    """How the videos were run.

    Attributes:
        backend: what ran the spiking part.
        checked: backends that were compared.
        not_checked: backends that could not be, and why.
        device: what ran the ANN part, in words.
        precision: that was asked for it.
    """

    backend: str
    checked: tuple[str, ...]
    not_checked: Mapping[str, str]
    device: str
    precision: Precision


def build_report(bundle: Bundle, videos: Aggregate, how: How) -> Report:
    """Gather the videos, at least one, the plan, the mapping and the constants."""
    manifest, rows = bundle.manifest, videos.videos
    names = " and ".join(Path(video.video).name for video in rows[:2])
    more = f" and {len(rows) - 2:,} more" if len(rows) > 2 else ""
    return Report(
        title=f"{manifest.model.name} on {manifest.chip.name}: {names}{more}",
        versions={**manifest.versions, "python": platform.python_version()},
        model={
            "name": manifest.model.name, "views": str(bundle.video_model().input.views),
            "accounting": manifest.host.title, "link": manifest.link.title,
            **{f"checkpoint {k}": v for k, v in manifest.source.items()},
        },
        device=how.device,
        precision=how.precision,
        backend=how.backend,
        prediction=rows[0].prediction,
        exact=all(video.exact for video in rows) if how.checked else None,
        checked=how.checked,
        not_checked=dict(how.not_checked),
        comparisons=_comparisons(bundle, videos.counts),
        plan=PlanSummary.model_validate(_plan(manifest.plan)),
        chip=_chip(bundle),
        constants=all_constants(manifest.chip, manifest.host, manifest.link),
        **{field.name: getattr(videos, field.name) for field in fields(Aggregate)},
    )  # fmt: skip


def _comparisons(bundle: Bundle, counts: Counts) -> tuple[Comparison, ...]:
    """The paper's accounting of the same work, the same model without a chip, and the paper's own figure."""
    host, manifest = load_host("horowitz45"), bundle.manifest
    views = bundle.video_model().input.views
    graded = counts.macs - counts.macs_ann
    counted = host.energy_mac.si * counts.macs_ann + host.energy_accumulate.si * (counts.acs + graded)
    everywhere = {op["op"]: op["host_j"] for op in manifest.plan["ops"]}
    total = Range(*(sum(j[edge] for j in everywhere.values()) * views for edge in ("low", "nominal", "high")))
    return (
        Comparison(
            name="the paper's accounting of this run", energy_j=Band.of(counted),
            note="4.6 pJ per ANN multiply-accumulate and 0.9 pJ per synaptic operation (Horowitz 2014), nothing else",
        ),
        Comparison(
            name="the same model without a chip", energy_j=Band.of(total),
            note=f"every op, the spiking layers dense, at the {manifest.host.name} profile",
        ),
        Comparison(
            name="the paper's full-size model", energy_j=Band(low=PAPER_J, nominal=PAPER_J, high=PAPER_J),
            note="Das Biswas et al. 2025, table 1; 83.4 M parameters at 8 views, not this model",
        ),
    )  # fmt: skip


def _plan(plan: Mapping[str, object]) -> dict[str, object]:
    return {key: plan[key] for key in PlanSummary.model_fields}


def _chip(bundle: Bundle) -> ChipSummary:
    mapping, chip = bundle.mapping, bundle.manifest.chip
    rows = tuple(
        CoreRow(
            id=core.id,
            layer=core.layer,
            chip=core.chip,
            x=core.x,
            y=core.y,
            slot=core.slot,
            neurons=core.used.neurons,
        )
        for core in mapping.cores
    )
    return ChipSummary(
        name=chip.name,
        title=chip.title,
        chips=mapping.chips,
        tiles_x=mapping.tiles_x,
        tiles_y=mapping.tiles_y,
        cores_per_tile=mapping.cores_per_tile,
        cores=rows,
        utilization=utilization(mapping),
    )
