"""Two runs, or a run and a prediction, side by side: which differences hold inside the ranges of the constants."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from hwsim.quantity import Quantity
from hybrid.files import write_aside
from hybrid.report import figures
from hybrid.report.figures import Bar
from hybrid.report.model import Band
from hybrid.report.render import template
from hybrid.report.side import Figure, Side

Verdict = Literal["higher", "lower", "equal", "undecided", "one side only"]
ROUNDING = 1e-9
"""Share of a figure below which a difference is rounding."""
NO_DIFFERENCE: tuple[Verdict, Band] = "equal", Band(low=0, nominal=0, high=0)
OWNERS = {"chip": "chip", "link": "link", "ann": "host", "host": "host"}
"""Whose constants price each part of an energy."""


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
    verdict: Verdict = Field(description="of the right side; undecided where the change may have either sign")


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
    page.parent.mkdir(parents=True, exist_ok=True)
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
    change = _change(left, right, shared)
    how = left.how if left.how == right.how else f"{left.how} against {right.how}"
    verdict: Verdict
    rounding = ROUNDING * max(abs(left.value.high), abs(right.value.high))
    alike = left == right and shared == set(OWNERS.values())
    if alike or max(abs(change.low), abs(change.high)) <= rounding:
        verdict, change = NO_DIFFERENCE
    elif change.low > 0 or change.high < 0:
        verdict = "higher" if change.low > 0 else "lower"
    else:
        verdict = "undecided"
    return Difference(
        figure=name, unit=left.unit, how=how, left=left.value, right=right.value, change=change, verdict=verdict
    )


def _change(left: Figure, right: Figure, shared: set[str]) -> Band:
    """Right minus left.

    An energy is a sum of counts times constants. A constant of both sides has one true value, so its event's
    change goes from one end to the other with it; constants of one side only vary freely. Static power counts as
    one constant with the time that it is multiplied by.
    """
    if not left.kinds or left.kinds.keys() != right.kinds.keys():
        return _apart(left.value, right.value)
    changes = []
    for kind, a in left.kinds.items():
        b = right.kinds[kind]
        if OWNERS[kind.split(":")[0]] in shared:
            ends = (b.low - a.low, b.high - a.high)
            changes.append(Band(low=min(ends), nominal=b.nominal - a.nominal, high=max(ends)))
        else:
            changes.append(_apart(a, b))
    return Band(
        low=sum(x.low for x in changes), nominal=sum(x.nominal for x in changes), high=sum(x.high for x in changes)
    )


def _apart(left: Band, right: Band) -> Band:
    return Band(low=right.low - left.high, nominal=right.nominal - left.nominal, high=right.high - left.low)


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
