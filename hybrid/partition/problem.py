"""What an assignment of ops to chip and host costs, in plain numbers: what every solver minimises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import fsum

Edges = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Costs by op name, and what binds the choice. Energies in joules and times in seconds, per GOP.

    Attributes:
        edges: (producer, consumer) pairs.
        sources: ops whose result the host has and may send to the chip: inputs, and what it makes of them.
        host_j: energy of each op on the host.
        host_s: time of each op on the host; None where nobody knows.
        chip_j: energy of each op that the chip may run.
        step_s: time that the busiest core of each spiking op takes for one step.
        cores: cores that each such op takes.
        transfer_j: energy of moving each op's result over the link.
        transfer_s: time of that.
        once_s: time that each artificial op takes on the chip, once per GOP.
        steps: steps per GOP on the chip.
        sync_s: barrier that ends each step.
        to_chip: ops that must run on the chip.
        to_host: ops that must run on the host.
        most_cores: cores that may be used; None for as many as wanted.
    """

    edges: Edges
    sources: frozenset[str]
    host_j: Mapping[str, float]
    host_s: Mapping[str, float] | None
    chip_j: Mapping[str, float]
    step_s: Mapping[str, float]
    cores: Mapping[str, int]
    transfer_j: Mapping[str, float]
    transfer_s: Mapping[str, float]
    once_s: Mapping[str, float] = field(default_factory=dict)
    steps: int = 1
    sync_s: float = 0.0
    to_chip: frozenset[str] = frozenset()
    to_host: frozenset[str] = frozenset()
    most_cores: int | None = None

    @property
    def free(self) -> tuple[str, ...]:
        """The ops that may run on the chip, in the order of `host_j`."""
        return tuple(x for x in self.host_j if x in self.chip_j and x not in self.sources and x not in self.to_host)


@dataclass(frozen=True, slots=True)
class Figures:
    """What an assignment costs.

    Attributes:
        energy_j: of chip, host and link per GOP, without static power.
        latency_s: chip, link and host one after the other for one GOP; None where the host's times are not known.
        cores: used on the chip.
    """

    energy_j: float
    latency_s: float | None
    cores: int


def allowed(problem: Problem, on_chip: Collection[str]) -> bool:
    """Whether an assignment can be carried out.

    The chip part is one stage: what feeds it is a source or the chip itself, never another op of the host.
    """
    chosen = set(on_chip)
    return (
        chosen <= set(problem.free)
        and problem.to_chip <= chosen
        and all(p in chosen or p in problem.sources for p, c in problem.edges if c in chosen)
        and (problem.most_cores is None or sum(problem.cores[x] for x in chosen) <= problem.most_cores)
    )


def figures(problem: Problem, on_chip: Collection[str]) -> Figures:
    """The cost of an assignment.

    The chip is a pipeline of one step per layer: a GOP takes its steps and one more for every further layer,
    each as long as the busiest core and the barrier; then artificial ops follow one by one. A value that crosses is
    moved once, whoever takes it.
    """
    chosen = set(on_chip)
    host = [x for x in problem.host_j if x not in chosen]
    crossing = {p for p, c in problem.edges if (p in chosen) != (c in chosen)}
    # sets have another order in every process: these sums must not depend on it
    energy = fsum([problem.chip_j[x] for x in chosen] + [problem.host_j[x] for x in host]
                  + [problem.transfer_j[x] for x in crossing])  # fmt: skip
    cores = sum(problem.cores[x] for x in chosen)
    if problem.host_s is None:
        return Figures(energy, None, cores)
    latency = fsum([problem.host_s[x] for x in host] + [problem.transfer_s[x] for x in crossing]
                   + [problem.once_s.get(x, 0.0) for x in chosen])  # fmt: skip
    spiking = chosen & problem.step_s.keys()
    if spiking:
        step = max(problem.step_s[x] for x in spiking) + problem.sync_s
        latency += (problem.steps - 1 + depth(problem.edges, spiking)) * step
    return Figures(energy, latency, cores)


def depth(edges: Edges, on_chip: Collection[str]) -> int:
    """Ops on the longest path within the chip part; edges are in topological order of their consumers."""
    level = dict.fromkeys(on_chip, 1)
    for _ in range(len(level)):
        before = dict(level)
        for producer, consumer in edges:
            if producer in level and consumer in level:
                level[consumer] = max(level[consumer], level[producer] + 1)
        if level == before:
            break
    return max(level.values(), default=0)
