"""The picture of the cut: the model's parts in two lanes, the chip's above the host's, as data for an SVG."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.report.model import CrossingRow, PlanSummary

BOX_WIDTH, BOX_HEIGHT, PITCH, MARGIN = 118, 46, 150, 24
CHIP_Y, HOST_Y = 34, 190


@dataclass(frozen=True, slots=True)
class Box:
    """One part of the model.

    Attributes:
        name: first part of the op names that it stands for.
        detail: how many ops, or layers, it stands for.
        target: `chip` or `host`.
        x: left edge.
        y: upper edge.
    """

    name: str
    detail: str
    target: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Arrow:
    """A crossing, drawn as a vertical arrow between the lanes.

    Attributes:
        x: where it stands.
        up: it goes to the chip.
        name: whose result travels.
        detail: in which form, and how many bytes per GOP.
    """

    x: int
    up: bool
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class CutPicture:
    """Everything to draw, in pixels.

    Attributes:
        boxes: in execution order, each lane from left to right.
        arrows: the crossings.
        width: of the picture.
    """

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    width: int


def draw(plan: PlanSummary) -> CutPicture:
    """Lay out one box per named part of the model and one arrow per crossing."""
    counts: dict[tuple[str, str], int] = {}
    for op in plan.ops:
        if "." in op.op or op.reason not in ("input", "illegal"):
            key = (op.op.split(".")[0], op.target)
            counts[key] = counts.get(key, 0) + 1
    columns = {"chip": 0, "host": 0}
    boxes = []
    for (name, target), ops in counts.items():
        x, y = MARGIN + columns[target] * PITCH, CHIP_Y if target == "chip" else HOST_Y
        columns[target] += 1
        unit = "spiking layer" if target == "chip" else "op"
        boxes.append(Box(name, f"{ops} {unit}{'s' if ops > 1 else ''}", target, x, y))
    arrows = tuple(
        Arrow(MARGIN + 14 + i * PITCH, crossing.to == "chip", crossing.op, _detail(crossing))
        for i, crossing in enumerate(plan.crossings)
    )
    columns_used = max(*columns.values(), len(arrows))
    return CutPicture(tuple(boxes), arrows, 2 * MARGIN + columns_used * PITCH)


def _detail(crossing: CrossingRow) -> str:
    size = f"{crossing.bytes / 1000:.1f} kB" if crossing.bytes >= 1000 else f"{crossing.bytes} B"
    return f"{crossing.kind}, {size}"
