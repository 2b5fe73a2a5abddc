"""The plan: where every op runs, why, and what the alternatives would have cost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hwsim.chip import Chip
from hwsim.quantity import Range
from hybrid.errors import IllegalPlanError
from hybrid.graph import ModelGraph
from hybrid.partition.cost import Costs, costs_of
from hybrid.partition.cut import energy_of, minimum_cut
from hybrid.partition.legality import violations
from hybrid.platform import Host, Link

EVERYTHING = "*"
"""The pin for all that the chip can run."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one op runs.

    Attributes:
        op: its name.
        target: `chip` or `host`.
        reason: `pinned`, `illegal`, `cheaper`, or `input` for the model's inputs and its output.
        violations: why the chip cannot run it; empty where it can.
        chip_j: joules per GOP on the chip, None where it cannot run there.
        host_j: joules per GOP on the host.
    """

    op: str
    target: str
    reason: str
    violations: tuple[str, ...]
    chip_j: Range | None
    host_j: Range


@dataclass(frozen=True, slots=True)
class Crossing:
    """A value that travels over the link, once per GOP.

    Attributes:
        op: whose result it is.
        to: `chip` or `host`.
        kind: `graded`, `spikes` or `potential`.
        shape: of one GOP.
        bytes: moved per GOP, by the activity of the example.
        energy_j: of moving them.
    """

    op: str
    to: str
    kind: str
    shape: tuple[int, ...]
    bytes: int
    energy_j: Range


@dataclass(frozen=True, slots=True)
class Plan:
    """A partition of the model.

    Attributes:
        placements: one per op, in execution order.
        crossings: the values on the link.
        energy_j: predicted nominal joules per GOP of this plan (events and link; no static power).
        baselines: the same for `all on the host`, `all legal on the chip` and `cheapest cut`.
    """

    placements: tuple[Placement, ...]
    crossings: tuple[Crossing, ...]
    energy_j: float
    baselines: dict[str, float]

    @property
    def on_chip(self) -> tuple[str, ...]:
        """Names of the ops on the chip."""
        return tuple(p.op for p in self.placements if p.target == "chip")

    def coverage(self, graph: ModelGraph) -> str:
        """One line: how much of the model is on the chip, and what crosses."""
        work = {name: op for name, op in graph.ops.items() if op.kind not in ("input", "output")}
        macs = sum(op.macs for op in work.values())
        share = sum(work[name].macs for name in self.on_chip) / max(macs, 1)
        neurons = sum(work[name].neurons for name in self.on_chip)
        to_chip = sum(c.bytes for c in self.crossings if c.to == "chip")
        to_host = sum(c.bytes for c in self.crossings if c.to == "host")
        return (
            f"{len(self.on_chip)} of {len(work)} ops on the chip: {neurons:,} neurons, {share:.0%} of the dense "
            f"multiply-accumulates; {len(self.crossings)} crossings, per GOP {to_chip / 1e3:.1f} kB in and "
            f"{to_host / 1e3:.1f} kB out"
        )


def make_plan(
    graph: ModelGraph,
    chip: Chip,
    host: Host,
    link: Link,
    input_bits: dict[str, int],
    pins: Collection[str] = (),
) -> Plan:
    """Choose by minimum cut on energy, with the ops under `pins` fixed to the chip.

    Args:
        graph: the traced model.
        chip: where spiking ops may run.
        host: where everything may run.
        link: between the two.
        input_bits: bits of a value of each graded input.
        pins: prefixes of op names to fix to the chip, such as `stm_motion`; `*` fixes all that it can run.

    Raises:
        IllegalPlanError: for a pin that names no op, or an op that the chip cannot run.
    """
    broken = {name: violations(op, graph) for name, op in graph.ops.items()}
    pinned = _pinned(graph, pins, broken)
    costs = costs_of(graph, chip, host, link, input_bits)
    ends = {name for name, op in graph.ops.items() if op.kind in ("input", "output")}
    sources = {name for name, op in graph.ops.items() if op.kind == "input" or op.feeds}
    on_chip = {name: energy for name, energy in costs.chip.items() if not broken[name]}
    if EVERYTHING in pins:
        pinned |= _stage(graph, set(on_chip), sources)
    nominal = (_nominal(on_chip), _nominal(costs.host), _nominal(costs.transfer), graph.edges)
    chosen = minimum_cut(*nominal, sources, pinned_to_chip=pinned)
    everything = minimum_cut(*nominal, sources, pinned_to_chip=_stage(graph, set(on_chip), sources))
    baselines = {
        "all on the host": energy_of((), *nominal),
        "all legal on the chip": energy_of(everything, *nominal),
        "cheapest cut": energy_of(minimum_cut(*nominal, sources), *nominal),
    }
    placements = tuple(
        Placement(
            op=name,
            target="chip" if name in chosen else "host",
            reason=_reason(name, ends, pinned, broken),
            violations=() if name in ends else broken[name],
            chip_j=None if broken[name] else costs.chip.get(name),
            host_j=costs.host[name],
        )
        for name in graph.ops
    )
    return Plan(placements, _crossings(graph, chosen, costs), energy_of(chosen, *nominal), baselines)


def _reason(name: str, ends: set[str], pinned: set[str], broken: dict[str, tuple[str, ...]]) -> str:
    if name in ends:
        return "input"
    if name in pinned:
        return "pinned"
    return "illegal" if broken[name] else "cheaper"


def _pinned(graph: ModelGraph, pins: Collection[str], broken: dict[str, tuple[str, ...]]) -> set[str]:
    pinned: set[str] = set()
    for pin in (pin for pin in pins if pin != EVERYTHING):
        found = [name for name in graph.ops if name == pin or name.startswith(f"{pin}.")]
        if not found:
            raise IllegalPlanError(
                f"pin {pin!r}", "no op of the model has this name", f"use one of {', '.join(_heads(graph))}"
            )
        for name in found:
            if broken[name]:
                raise IllegalPlanError(
                    f"pin {pin!r}",
                    f"the chip cannot run it: {broken[name][0]}",
                    "pin spiking layers that it can run, or '*' for all of them",
                )
        pinned.update(found)
    return pinned


def _heads(graph: ModelGraph) -> list[str]:
    return sorted({name.split(".")[0] for name, op in graph.ops.items() if op.spiking})


def _stage(graph: ModelGraph, legal: set[str], sources: set[str]) -> set[str]:
    """The legal ops that can form one chip stage: everything that feeds them is legal too, or an input."""
    stage: set[str] = set()
    producers: dict[str, set[str]] = {name: set() for name in graph.ops}
    for producer, consumer in graph.edges:
        producers[consumer].add(producer)
    for name in graph.ops:
        if name in legal and producers[name] <= stage | sources:
            stage.add(name)
    return stage


def _crossings(graph: ModelGraph, on_chip: frozenset[str], costs: Costs) -> tuple[Crossing, ...]:
    found: dict[str, Crossing] = {}
    for producer, consumer in graph.edges:
        if (producer in on_chip) == (consumer in on_chip):
            continue
        op = graph.ops[producer]
        kind = "graded" if producer not in on_chip else "spikes" if op.emits_spikes else "potential"
        to = "chip" if consumer in on_chip else "host"
        found[producer] = Crossing(producer, to, kind, op.shape, costs.bytes[producer], costs.transfer[producer])
    return tuple(found.values())


def _nominal(energies: dict[str, Range]) -> dict[str, float]:
    return {name: energy.nominal for name, energy in energies.items()}
