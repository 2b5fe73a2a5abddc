"""Two runs, or a run and a prediction, side by side: which differences hold inside the ranges of the constants."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hwsim.quantity import Quantity
from hybrid.files import make_folder, write_aside
from hybrid.report import figures
from hybrid.report.figures import Bar
from hybrid.report.model import Band, Verdict
from hybrid.report.render import template
from hybrid.report.side import NO_J, Figure, Side
from hybrid.report.verdict import OWNERS, change_of, same, verdict_of


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Difference(_Record):
    """One figure on both sides."""

    figure: str
    unit: str
    how: str = Field(description="counted, modelled, measured, or a mixture of the last two")
    left: Band | None
    right: Band | None
    change: Band | None = Field(description="right minus left; where both sides share a constant, it varies in both")
    verdict: Verdict | Literal["one side only"] = Field(
        description="of the right side; undecided where the change may have either sign"
    )


class ConstantDifference(_Record):
    """A constant that is not the same on both sides, or is on one side only."""

    name: str
    left: Quantity | None
    right: Quantity | None


class LabelDifference(_Record):
    """A video of both runs with two predictions."""

    video: str
    left: str
    right: str


class Comparison(_Record):
    """Two sides and their differences."""

    schema_version: Literal[1] = 1
    left: Side
    right: Side
    differences: tuple[Difference, ...]
    constants: tuple[ConstantDifference, ...]
    common_videos: int
    labels: tuple[LabelDifference, ...] = Field(description="of the common videos, those predicted differently")


def compare(left: Side, right: Side) -> Comparison:
    """Every figure that either side has, and every constant and prediction that differs."""
    constants = _constants(left, right)
    shared = {owner for owner in OWNERS.values() if not any(c.name.startswith(f"{owner}:") for c in constants)}
    names = dict.fromkeys((*left.figures, *right.figures))
    common = [video for video in left.labels if video in right.labels]
    return Comparison(
        left=left, right=right, constants=constants, common_videos=len(common),
        differences=tuple(_difference(x, left.figures.get(x), right.figures.get(x), shared) for x in names),
        labels=tuple(
            LabelDifference(video=video, left=left.labels[video], right=right.labels[video])
            for video in common
            if left.labels[video] != right.labels[video]
        ),
    )  # fmt: skip


def write_comparison(comparison: Comparison, page: Path) -> None:
    """Write one HTML file, aside and then renamed."""
    parts = [d for d in comparison.differences if d.unit == "J"]
    html = template("compare.html.j2").render(c=comparison, bars=_pairs(parts))
    make_folder(page.parent)
    write_aside(page, html.encode())


def _difference(name: str, left: Figure | None, right: Figure | None, shared: set[str]) -> Difference:
    if left is None or right is None:
        some = left or right
        if some is None:
            raise ValueError(f"neither side has {name}")
        return Difference(
            figure=name, unit=some.unit, how=some.how, left=None if left is None else left.value,
            right=None if right is None else right.value, change=None, verdict="one side only",
        )  # fmt: skip
    how = left.how if left.how == right.how else f"{left.how} against {right.how}"
    change = change_of(left, right, shared)
    verdict = "equal" if same(left, right) and shared == set(OWNERS.values()) else verdict_of(left, right, change)
    if verdict == "equal":
        change = NO_J
    return Difference(
        figure=name, unit=left.unit, how=how, left=left.value, right=right.value, change=change, verdict=verdict
    )


def _constants(left: Side, right: Side) -> tuple[ConstantDifference, ...]:
    sides = [{f"{row.owner.split()[0]}: {row.name}": row.quantity for row in x.constants} for x in (left, right)]
    names = dict.fromkeys((*sides[0], *sides[1]))
    pairs = [(name, sides[0].get(name), sides[1].get(name)) for name in names]
    return tuple(ConstantDifference(name=name, left=a, right=b) for name, a, b in pairs if a != b)


def _pairs(differences: list[Difference]) -> tuple[Bar, ...]:
    names, kinds, bands = [], [], []
    for d in differences:
        for side, kind, band in (("A", "chip", d.left), ("B", "ann", d.right)):
            if band is not None:
                names.append(f"{d.figure} ({side})")
                kinds.append(kind)
                bands.append(band)
    return figures.bars(names, kinds, bands, "J")
