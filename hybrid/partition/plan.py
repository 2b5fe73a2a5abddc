"""The plan: where every op runs, why, and what the alternatives would have cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from hwsim.chip import Chip
from hwsim.quantity import Range
from hybrid.graph import ModelGraph
from hybrid.partition.artificial import Effect
from hybrid.partition.cost import Costs, costs_of
from hybrid.partition.legality import violations
from hybrid.partition.pins import pinned
from hybrid.partition.price import constraints_of, price_of
from hybrid.partition.problem import Figures, Problem, figures
from hybrid.partition.solver import best, front
from hybrid.partition.stage import stage, value_edges
from hybrid.platform import Host, Link

Goal = Literal["energy", "latency", "pareto"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What a plan shall be.

    Attributes:
        pins: what is fixed to a side; see `hybrid.partition.pins`.
        goal: what to minimise; `pareto` gives the front, and of it the plan of the least energy times latency.
        most_chips: chips that may be used; None for as many as it takes.
        measure: a device on which to measure the time of every op, instead of the host profile's times.
        artificial: let the chip take convolutions and linear layers too, if it has an ANN mode.
    """

    pins: tuple[str, ...] = ()
    goal: Goal = "energy"
    most_chips: int | None = None
    measure: str | None = None
    artificial: bool = False


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
        undecided: the better side depends on where in their bands the constants lie.
        artificial: on the chip it would run in ANN mode.
    """

    op: str
    target: str
    reason: str
    violations: tuple[str, ...]
    chip_j: Range | None
    host_j: Range
    undecided: bool
    artificial: bool


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
class Alternative:
    """One plan of the front.

    Attributes:
        on_chip: ops on the chip, in execution order.
        figures: what it costs.
    """

    on_chip: tuple[str, ...]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Plan:
    """A partition of the model.

    Attributes:
        placements: one per op, in execution order.
        crossings: the values on the link.
        energy_j: predicted nominal joules per GOP of this plan (events and link; no static power).
        latency_s: predicted nominal seconds per GOP, one part after the other; None where the host's are not known.
        cores: of the chip that it takes.
        energy_band_j: `energy_j` with all constants at one end of their bands, and at the other.
        latency_band_s: the same of `latency_s`.
        baselines: joules of `all on the host`, `all legal on the chip` and `cheapest cut`.
        front: the plans that none beats in both energy and latency, where they were asked for.
        effect: what the bits of the chip's artificial neurons do to the output, where it has such in this plan.
    """

    placements: tuple[Placement, ...]
    crossings: tuple[Crossing, ...]
    energy_j: float
    latency_s: float | None
    cores: int
    energy_band_j: Range
    latency_band_s: Range | None
    baselines: dict[str, float]
    front: tuple[Alternative, ...]
    effect: Effect | None = None

    @property
    def on_chip(self) -> tuple[str, ...]:
        """Names of the spiking ops on the chip."""
        return tuple(p.op for p in self.placements if p.target == "chip" and not p.artificial)

    @property
    def artificial(self) -> tuple[str, ...]:
        """Names of the ops on the chip in ANN mode, the wiring in front of them included."""
        return tuple(p.op for p in self.placements if p.target == "chip" and p.artificial)

    def coverage(self, graph: ModelGraph) -> str:
        """One line: how much of the model is on the chip, and what crosses."""
        work = {name: op for name, op in graph.ops.items() if op.kind not in ("input", "output")}
        macs = sum(op.macs for op in work.values())
        there = (*self.on_chip, *self.artificial)
        share = sum(work[name].macs for name in there) / max(macs, 1)
        neurons = sum(work[name].neurons for name in self.on_chip)
        to_chip = sum(c.bytes for c in self.crossings if c.to == "chip")
        to_host = sum(c.bytes for c in self.crossings if c.to == "host")
        return (
            f"{len(there)} of {len(work)} ops on the chip: {neurons:,} neurons, {share:.0%} of the dense "
            f"multiply-accumulates; {len(self.crossings)} crossings, per GOP {to_chip / 1e3:.1f} kB in and "
            f"{to_host / 1e3:.1f} kB out"
        )


def make_plan(
    graph: ModelGraph,
    chip: Chip,
    host: Host,
    link: Link,
    input_bits: dict[str, int],
    aim: Aim,
    measured_s: Mapping[str, Range] | None = None,
) -> Plan:
    """Choose where every op runs, exactly: by minimum cut where costs add up, else by CP-SAT.

    Args:
        graph: the traced model.
        chip: where spiking ops may run.
        host: where everything may run.
        link: between the two.
        input_bits: bits of a value of each graded input.
        aim: what the plan shall be.
        measured_s: seconds of each op on the host, where they were measured.

    Raises:
        IllegalPlanError: for a pin that cannot be carried out, or a goal that cannot be reached.
        DoesNotFit: for a pin to the chip of an op that exceeds a core.
        NetworkError: for one whose neurons have too many synapses for the contract.
    """
    costs = costs_of(graph, chip, host, link, input_bits, measured_s, aim.artificial)
    unlawful = {name: () if name in costs.artificial else violations(op, graph) for name, op in graph.ops.items()}
    lawful = {name for name in graph.populations if not unlawful[name]} | set(costs.artificial)
    to_chip, to_host = pinned(graph, aim.pins, unlawful, lambda dropped: stage(graph, lawful - set(dropped)))
    for name in graph.ops:
        if name in to_chip and name in costs.unfit:
            raise costs.unfit[name]
    broken = {
        name: facts + ((costs.unfit[name].what,) if name in costs.unfit else ()) for name, facts in unlawful.items()
    }
    ends = {name for name, op in graph.ops.items() if op.kind in ("input", "output")}
    legal = {name for name in (*costs.chip, *costs.artificial) if not broken[name]}
    most = None if aim.most_chips is None else aim.most_chips * chip.mesh.cores
    constraints = replace(constraints_of(graph, legal), to_chip=to_chip, to_host=to_host, most_cores=most)
    problem = costs.problem(constraints)
    points = front(problem) if aim.goal == "pareto" else ()
    chosen = min(points, key=_product)[0] if points else best(problem, _single(aim.goal))
    free = replace(problem, to_chip=frozenset(), to_host=frozenset(), most_cores=None)
    everything = best(replace(free, to_chip=frozenset(stage(graph, legal))), "energy")
    baselines = {
        "all on the host": figures(free, ()).energy_j,
        "all legal on the chip": figures(free, everything).energy_j,
        "cheapest cut": figures(free, best(free, "energy")).energy_j,
    }
    undecided = set() if aim.goal == "pareto" else _undecided(costs, constraints, _single(aim.goal))
    placements = tuple(
        Placement(
            op=name,
            target="chip" if name in chosen else "host",
            reason=_reason(name, ends, to_chip | to_host, broken),
            violations=() if name in ends else broken[name],
            chip_j=costs.on_chip(name).energy if name in legal else None,
            host_j=costs.host_j[name],
            undecided=name in undecided,
            artificial=name in costs.artificial,
        )
        for name in graph.ops
    )
    found, price = figures(problem, chosen), price_of(costs, constraints, chosen)
    order = {name: i for i, name in enumerate(graph.ops)}
    alternatives = tuple(Alternative(tuple(sorted(x, key=order.__getitem__)), y) for x, y in points)
    return Plan(
        placements, crossings(graph, chosen, costs), found.energy_j, found.latency_s, found.cores,
        price.energy_j, price.latency_s, baselines, alternatives,
    )  # fmt: skip


def _single(goal: Goal) -> Literal["energy", "latency"]:
    return "latency" if goal == "latency" else "energy"


def _product(point: tuple[frozenset[str], Figures]) -> float:
    """Energy times latency: what one plan of the front is chosen by."""
    return point[1].energy_j * (point[1].latency_s or 0.0)


def _undecided(costs: Costs, constraints: Problem, goal: Literal["energy", "latency"]) -> set[str]:
    """Ops whose better side flips between chip cheap and host dear, and chip dear and host cheap."""
    favoured = best(costs.problem(constraints, "low", "high"), goal)
    disfavoured = best(costs.problem(constraints, "high", "low"), goal)
    return set(favoured ^ disfavoured)


def _reason(name: str, ends: set[str], fixed: Collection[str], broken: Mapping[str, tuple[str, ...]]) -> str:
    if name in ends:
        return "input"
    if name in fixed:
        return "pinned"
    return "illegal" if broken[name] else "cheaper"


def crossings(graph: ModelGraph, on_chip: Collection[str], costs: Costs) -> tuple[Crossing, ...]:
    """What a plan moves over the link."""
    found: dict[str, Crossing] = {}
    for producer, consumer in value_edges(graph):
        if (producer in on_chip) == (consumer in on_chip):
            continue
        op = graph.ops[producer]
        kind = "graded" if producer not in on_chip else "spikes" if op.emits_spikes else "potential"
        kind = "activation" if producer in costs.artificial else kind
        to = "chip" if consumer in on_chip else "host"
        found[producer] = Crossing(producer, to, kind, op.shape, costs.bytes[producer], costs.transfer_j[producer])
    return tuple(found.values())
