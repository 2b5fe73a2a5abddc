"""The tables' rows: our count next to what the paper states, and what explains the difference."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.costs import count as count_costs
from benchmarks.tables import paper
from benchmarks.tables.count import count
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.zoo import METHODS
from benchmarks.tables.zoo.ours import ours
from hybrid.model.ablations import ABLATIONS
from hybrid.shipped import CLIPS

TOLERANCE = 0.05
"""Differences beyond it need a cause."""
CONFIGS = {"ours": "base", "ours-L": "large"}
TRAINING = Path(__file__).parents[2] / "docs" / "training.md"


@dataclass(frozen=True, slots=True)
class Row:
    """A method as we count it and as the paper states it.

    Attributes:
        method: its networks and protocol.
        stated: the paper's row.
        acs: accumulates per video, counted on real clips; 0 without spiking layers.
    """

    method: Method
    stated: paper.Stated
    acs: float = 0.0

    @property
    def joules(self) -> float:
        """Per video by our count."""
        return self.method.joules(self.method.protocol, self.acs)

    def difference(self, protocol: Protocol | None = None) -> float:
        """Of our energy, under the row's or another protocol, relative to the paper's."""
        return self.method.joules(protocol or self.method.protocol, self.acs) / self.stated.joules - 1

    @property
    def agrees(self) -> bool:
        """Whether the row's own protocol gives the paper's energy."""
        return abs(self.difference()) <= TOLERANCE

    @property
    def cause(self) -> Protocol | None:
        """The first of the other protocols that gives the paper's energy, where the row's own does not."""
        if self.agrees:
            return None
        return next((p for p in self.method.others if abs(self.difference(p)) <= TOLERANCE), None)

    @property
    def verdict(self) -> str:
        """In words."""
        if self.agrees:
            return f"agrees, {self.difference():+.1%}"
        if self.cause is None:
            tried = "; ".join(f"{p.text}: {self.difference(p):+.0%}" for p in self.method.others)
            return f"not explained; tried {tried or 'nothing else'}"
        written = f"written in {self.cause.evidence}" if self.cause.evidence else "by the arithmetic"
        return f"{self.cause.text} ({self.difference(self.cause):+.1%}, {written})"


def rows(stated: dict[str, paper.Stated], names: Collection[str] = ()) -> list[Row]:
    """The rows of one of the paper's tables with these names, or all without names, in its order."""
    chosen = {name: row for name, row in stated.items() if not names or name in names}
    return [our_row(name, row) if name in CONFIGS else Row(METHODS[name], row) for name, row in chosen.items()]


@cache
def _costs(config: str, changes: tuple[str, ...], clips: tuple[Path, ...]) -> dict[str, float]:
    return count_costs(config, changes, list(clips))


def our_row(name: str, stated: paper.Stated, clips: tuple[Path, ...] = CLIPS) -> Row:
    """One of the paper's own rows; accumulates by `benchmarks/costs.py` on real clips."""
    return Row(ours(name, CONFIGS[name]), stated, _costs(CONFIGS[name], (), clips)["gac"] * 1e9)


@dataclass(frozen=True, slots=True)
class Ablation:
    """A switch of our model.

    Attributes:
        name: as in `hybrid.model.ablations`.
        parameters, macs, acs, joules: of `base` with the switch; per video.
        stated_top1, stated_joules: the paper's, UCF-101.
        measured: our own accuracy on real clips of another data set with the tiny model (docs/training.md), as there.
        measured_integers: the same of the integers that a chip would compute; empty without spiking layers.
        macs_by_graph: the same operations by the second counter, `hybrid.graph`.
    """

    name: str
    parameters: int
    macs: float
    acs: float
    joules: float
    stated_top1: float | None
    stated_joules: float | None
    measured: str
    measured_integers: str
    macs_by_graph: float


def ablation(name: str, clips: tuple[Path, ...] = CLIPS) -> Ablation:
    """The cost of `base` with a switch."""
    measured, integers = measured_accuracy(TRAINING.read_text(encoding="utf-8")).get(name, ("", ""))
    method, costs = ours(name, "base", ABLATIONS[name]), _costs("base", ABLATIONS[name], clips)
    acs = costs["gac"] * 1e9
    top1, joules = paper.ABLATIONS.get(name, (None, None))
    return Ablation(
        name, count(method.parts[0]).parameters, method.macs_per_video(method.protocol), acs,
        method.joules(method.protocol, acs), top1, joules, measured, integers, costs["gmac"] * 1e9,
    )  # fmt: skip


def measured_accuracy(document: str) -> dict[str, tuple[str, str]]:
    """Top-1 of the float model and of its integers by row, out of the table of measured rows in docs/training.md."""
    lines = document.splitlines()
    start = next(i for i, line in enumerate(lines) if re.match(r"\| row \|.*\| float \| integers \|", line))
    found = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found[cells[0]] = (cells[3], cells[4])
    return found
