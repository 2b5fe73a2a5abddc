"""One point of a sweep, as `points.jsonl` holds it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from hybrid.report.model import Band


class Point(BaseModel):
    """What one setting costs, and how often it is right; or why it cannot be had."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(description="hash of the model, its inputs, this package's version and all settings")
    subject: str = Field(description="hash of the model, its calibration and the labelled data")
    model: str = Field(description="name of the model")
    interval: int = Field(description="P-frames (time steps) that the spiking part sees before it is read")
    split: str = Field(description="the last ops on the chip, in words")
    on_chip: tuple[str, ...] = Field(description="ops on the chip, in execution order")
    chip: str = Field(description="name of the chip profile, or none")
    link: str = Field(description="name of the link profile, or none")
    host: str = Field(description="name of the host profile")
    reason: str | None = Field(None, description="why it does not fit; None where it does")
    cores: int | None = Field(None, description="cores of the chip")
    link_bytes: int | None = Field(None, description="bytes over the link per GOP, both ways")
    energy_j: Band | None = Field(None, description="joules per GOP: events on chip and link, and the host's")
    latency_s: Band | None = Field(None, description="seconds per GOP; None where the host's times are not known")
    top1: float | None = Field(None, description="share of samples whose label came first; None if not measured")
    samples: int | None = Field(None, description="clips, or samples, that top1 was measured on")
