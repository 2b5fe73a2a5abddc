"""Exact plans where a minimum cut is not enough: latency, limited cores, and the front of both objectives.

The slowest core sets the pace of all steps and the cores of all ops share one limit, so that costs do not add up
op by op. Energies count in femtojoules and times in picoseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hybrid.errors import IllegalPlanError
from hybrid.partition.cut import minimum_cut
from hybrid.partition.problem import Figures, Problem, figures

if TYPE_CHECKING:
    from hybrid.partition.program import Goal, Program

FRONT_LIMIT = 64
"""Most points of a front."""


def best(problem: Problem, goal: Goal) -> frozenset[str]:
    """Ops on the chip in the assignment of least energy, or of least latency (then least energy).

    Raises:
        IllegalPlanError: where nothing is allowed, or the host's times are needed and not known.
    """
    if goal == "energy" and problem.most_cores is None:
        return minimum_cut(
            problem.chip_j, problem.host_j, problem.transfer_j, problem.edges, problem.sources,
            problem.to_chip, problem.to_host,
        )  # fmt: skip
    found = _program(problem).solve(goal)
    if found is None:
        needed = sum(problem.cores[x] for x in problem.to_chip)
        what = f"what is pinned to the chip takes {needed} cores, and {problem.most_cores} are allowed"
        raise IllegalPlanError("plan", what, "allow more chips, or pin less")
    return found


def front(problem: Problem) -> tuple[tuple[frozenset[str], Figures], ...]:
    """All assignments that no other one beats in both energy and latency, from the least energy on.

    Raises:
        IllegalPlanError: where nothing is allowed, or the host's times are not known.
    """
    model = _program(problem)
    points: list[tuple[frozenset[str], Figures]] = []
    found = model.solve("energy")
    while found is not None and len(points) < FRONT_LIMIT:
        points.append((found, figures(problem, found)))
        found = model.solve("energy", below=model.value("latency", found))
    if not points:
        raise IllegalPlanError("plan", "no assignment is allowed", "allow more chips, or pin less")
    return tuple(points)


def _program(problem: Problem) -> Program:
    from hybrid.partition.program import Program  # OR-Tools takes half a second to import

    return Program(problem)
