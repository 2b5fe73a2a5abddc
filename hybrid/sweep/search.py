"""Every point of the axes, but those that are there already."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from itertools import product
from pathlib import Path

from hwsim.chip import Chip
from hybrid.errors import BadInputError, HybridError, IllegalPlanError
from hybrid.executor import WorkerDiedError, Workers, run_items
from hybrid.graph import ModelGraph
from hybrid.parquet import Parts
from hybrid.partition.legality import violations
from hybrid.partition.stage import Split, producers_of, splits
from hybrid.platform import Host, Link
from hybrid.sweep.record import Point
from hybrid.sweep.store import appending, flat, read_points
from hybrid.sweep.subject import Accuracy, Source, Subject, VideoSubject, load_subject
from hybrid.sweep.table import SCHEMA, TABLE
from hybrid.sweep.task import Target, Task, Work, traced

VIEWS = ".views"
"""Folder of the labelled clips as the model sees them, there while a sweep is not done: each is read once."""


@dataclass(frozen=True, slots=True)
class Axes:
    """What is varied.

    Attributes:
        chips: chip profiles.
        links: link profiles.
        hosts: host profiles.
        splits: ops on the chip, names with commas between, each with all that feeds it; every legal split without.
        intervals: steps before the spiking part is read; without, those of the model, and of a video model also
            halves of them, down to one.
    """

    chips: tuple[Chip, ...]
    links: tuple[Link, ...]
    hosts: tuple[Host, ...]
    splits: tuple[str, ...] = ()
    intervals: tuple[int, ...] = ()


def sweep(
    source: Source,
    axes: Axes,
    folder: Path,
    workers: Workers | None = None,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
    skipped: Callable[[HybridError], None] = lambda error: None,
) -> tuple[Point, ...]:
    """All points of the axes; what is not in the folder yet is computed, and written there as it is done.

    Args:
        source: the model.
        axes: what is varied.
        folder: of the points.
        workers: who computes; this process without.
        tell: told (what, done, of how many).
        skipped: told of a split that killed its worker each time it was tried; its points are left out.

    Raises:
        BadInputError: for a model, data, split or interval that cannot be used, or a folder that is something else.
        IllegalPlanError: for a split with an op that no chip can run.
    """
    tell("load and trace", 0, 1)
    source = replace(source, cache=folder / VIEWS)
    subject = load_subject(source)
    known = read_points(folder)
    tasks = list(_tasks(subject, source, axes, known))
    keys = [target.key for task in tasks for target in task.targets]
    missing = [rest for task in tasks if (rest := _without(task, known)).targets]
    done = sum(key in known for key in keys)
    with appending(folder) as append, Parts(folder / TABLE, SCHEMA, "key") as parts:
        for point in known.values():  # those that a killed sweep had no time to put there
            parts.add(flat(point))
        for outcome in run_items(missing, Work(source), workers):
            task = outcome.item
            if isinstance(outcome.error, WorkerDiedError):
                skipped(outcome.error)
            else:
                for point in outcome.get():
                    append(point)
                    parts.add(flat(point))
                    known[point.key] = point
            done += len(task.targets)
            tell(task.title, done, len(keys))
    shutil.rmtree(folder / VIEWS, ignore_errors=True)
    return tuple(known[key] for key in keys if key in known)


def _tasks(subject: Subject, source: Source, axes: Axes, known: Mapping[str, Point]) -> Iterator[Task]:
    steps = subject.steps
    graph, _ = traced(source, steps)
    accuracies: dict[tuple[int, Split], Accuracy] = {
        (x.interval, x.on_chip): (x.top1, x.samples)
        for x in known.values()
        if x.subject == subject.sha256 and x.top1 is not None and x.samples is not None
    }
    chosen = [_named(graph, text) for text in axes.splits] or splits(graph)
    for interval, split in product(_intervals(axes, steps, subject), dict.fromkeys(chosen)):
        # without an op on a chip, one chip and link are as good as the other
        chips, links = (axes.chips, axes.links) if split else (axes.chips[:1], axes.links[:1])
        targets = tuple(Target(_key(subject, interval, split, *at), *at) for at in product(chips, links, axes.hosts))
        yield Task(interval, split, _label(graph, split), targets, accuracies.get((interval, split)))


def _without(task: Task, known: Mapping[str, Point]) -> Task:
    targets = tuple(target for target in task.targets if target.key not in known)
    return Task(task.interval, task.split, task.label, targets, task.known)


def _intervals(axes: Axes, steps: int, subject: Subject) -> tuple[int, ...]:
    for interval in axes.intervals:
        if not 1 <= interval <= steps:
            what = f"{interval} steps, and the model takes {steps}"
            raise BadInputError("--interval", what, f"give numbers from 1 to {steps}")
    if axes.intervals or not isinstance(subject, VideoSubject):
        return tuple(dict.fromkeys(axes.intervals)) or (steps,)
    found = [steps]
    while found[-1] > 1:
        found.append(found[-1] // 2)
    return tuple(found)


def _named(graph: ModelGraph, text: str) -> Split:
    """The ops that a split names, and all on the chip that feed them."""
    producers, found = producers_of(graph), set[str]()
    for name in filter(None, text.split(",")):
        named = [x for x, op in graph.ops.items() if op.spiking and (x == name or x.startswith(f"{name}."))]
        if not named:
            spiking = ", ".join(x for x, op in graph.ops.items() if op.spiking)
            raise BadInputError(f"--split {text}", f"no spiking op is called {name!r}", f"use some of {spiking}")
        found.update(named)
    for op in reversed(list(graph.ops)):
        if op in found:
            found.update(x for x in producers[op] if graph.ops[x].spiking)
            if facts := violations(graph.ops[op], graph):
                raise IllegalPlanError(f"--split {text}", f"no chip can run {op!r}: {facts[0]}", "leave it out")
    return tuple(op for op in graph.ops if op in found)


def _label(graph: ModelGraph, split: Split) -> str:
    """The last ops on the chip: those that feed no other one there."""
    feeding = {producer for producer, consumer in graph.edges if consumer in split}
    return ", ".join(name for name in split if name not in feeding) or "nothing on the chip"


def _key(subject: Subject, interval: int, split: Split, chip: Chip, link: Link, host: Host) -> str:
    profiles = [profile.model_dump(mode="json") for profile in ((chip, link, host) if split else (host,))]
    settings = [metadata.version("hybrid-snn"), subject.sha256, interval, split, profiles]
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
