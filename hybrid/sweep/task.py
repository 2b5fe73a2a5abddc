"""The unit of work of a sweep: one interval and one split, on all chips, links and hosts; they share the accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from hwsim.chip import Chip
from hybrid.errors import IllegalPlanError
from hybrid.graph import ModelGraph
from hybrid.partition.cost import Costs, costs_of
from hybrid.partition.plan import crossings
from hybrid.partition.price import constraints_of, price_of
from hybrid.partition.stage import Split
from hybrid.platform import Host, Link
from hybrid.report.model import Band
from hybrid.sweep.record import Point
from hybrid.sweep.subject import Accuracy, Source, Traced, load_subject
from snn_export.network import NetworkError

NONE = "none"
"""Name of chip and link where nothing runs on a chip."""


@dataclass(frozen=True, slots=True)
class Target:
    """A place to run, and the key of the point there."""

    key: str
    chip: Chip
    link: Link
    host: Host


@dataclass(frozen=True, slots=True)
class Task:
    """What is worked on at a time.

    Attributes:
        interval: P-frames, or time steps, before the spiking part is read.
        split: ops on the chip.
        label: the split in words.
        targets: where to price it.
        known: the accuracy, where a point of an earlier call has it.
    """

    interval: int
    split: Split
    label: str
    targets: tuple[Target, ...]
    known: Accuracy | None

    @property
    def title(self) -> str:
        """Interval and split in words."""
        return f"interval {self.interval}, {self.label}"

    def __str__(self) -> str:
        return self.title


@dataclass(frozen=True, slots=True)
class Work:
    """Turns a task into its points, in any process."""

    source: Source

    def __call__(self, task: Task) -> tuple[Point, ...]:
        """Price it on every target; measure the accuracy if one of them can run it.

        Raises:
            BadInputError: for a model that cannot be traced at the interval, or data that cannot be used.
        """
        subject, (graph, _) = load_subject(self.source), traced(self.source, task.interval)
        priced = [self._figures(graph, task, target) for target in task.targets]
        accuracy, reason = task.known, None
        if accuracy is None and not all(isinstance(found, str) for found in priced):
            try:
                accuracy = subject.accuracy(task.interval, graph, task.split)
            except (IllegalPlanError, NetworkError) as error:
                reason = error.what
        share, samples = accuracy or (None, None)
        points = []
        for target, found in zip(task.targets, priced, strict=True):
            why = found if isinstance(found, str) else reason
            result = {"reason": why} if isinstance(found, str) or why else found | {"top1": share, "samples": samples}
            points.append(
                Point.model_validate({
                    "key": target.key, "subject": subject.sha256, "model": subject.name, "interval": task.interval,
                    "split": task.label, "on_chip": task.split, "host": target.host.name,
                    "chip": target.chip.name if task.split else NONE, "link": target.link.name if task.split else NONE,
                    **result,
                })
            )  # fmt: skip
        return tuple(points)

    def _figures(self, graph: ModelGraph, task: Task, target: Target) -> dict[str, object] | str:
        """What the split costs there; or why it does not fit."""
        costs = _costs(self.source, task.interval, target.chip, target.link, target.host)
        for name in task.split:
            if name in costs.unfit:
                return costs.unfit[name].what
        price = price_of(costs, constraints_of(graph, task.split), task.split)
        return {
            "cores": price.cores, "link_bytes": sum(x.bytes for x in crossings(graph, task.split, costs)),
            "energy_j": Band.of(price.energy_j),
            "latency_s": None if price.latency_s is None else Band.of(price.latency_s),
        }  # fmt: skip


@lru_cache(maxsize=1)
def traced(source: Source, interval: int) -> Traced:
    """The graph at an interval; the last one is kept."""
    return load_subject(source).trace(interval)


@lru_cache(maxsize=64)
def _costs(source: Source, interval: int, chip: Chip, link: Link, host: Host) -> Costs:
    graph, bits = traced(source, interval)
    return costs_of(graph, chip, host, link, bits)
