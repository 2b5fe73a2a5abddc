"""What an assignment costs, as a range."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hwsim.quantity import Range
from hybrid.graph import ModelGraph
from hybrid.partition.cost import Costs
from hybrid.partition.problem import Problem, figures
from hybrid.partition.stage import sources_of, value_edges


@dataclass(frozen=True, slots=True)
class Price:
    """The cost of an assignment per GOP: nominal, and with all constants at one end of their bands or at the other.

    Attributes:
        energy_j: of chip, host and link, without static power.
        latency_s: chip, link and host one after the other; None where the host's times are not known.
        cores: used on the chip.
    """

    energy_j: Range
    latency_s: Range | None
    cores: int


def constraints_of(graph: ModelGraph, legal: Collection[str]) -> Problem:
    """A problem without numbers yet, in which the chip may run the ops `legal`."""
    return Problem(value_edges(graph), sources_of(graph), {}, None, dict.fromkeys(legal, 0.0), {}, {}, {}, {})


def price_of(costs: Costs, constraints: Problem, on_chip: Collection[str]) -> Price:
    """The cost of an assignment, all constants at the same place of their bands."""
    low, nominal, high = (figures(costs.problem(constraints, x, x), on_chip) for x in ("low", "nominal", "high"))
    latency = None
    if low.latency_s is not None and nominal.latency_s is not None and high.latency_s is not None:
        latency = Range(low.latency_s, nominal.latency_s, high.latency_s)
    return Price(Range(low.energy_j, nominal.energy_j, high.energy_j), latency, nominal.cores)
