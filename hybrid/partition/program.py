"""A partition problem as a constraint program in whole numbers, for OR-Tools' CP-SAT, which proves its optimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from ortools.sat.python import cp_model

from hybrid.errors import IllegalPlanError
from hybrid.partition.problem import Problem

Goal = Literal["energy", "latency"]
Expression = Any
"""A linear expression of the solver, or a number."""
JOULE, SECOND = 10**15, 10**12


class Program:
    """The program of one problem.

    Args:
        problem: what to solve.

    Raises:
        IllegalPlanError: where the host's times are needed and not known.
    """

    def __init__(self, problem: Problem) -> None:
        if problem.host_s is None:
            fix = "give a host profile with times, such as --host h100, or measure them here with --measure"
            if problem.most_cores is None:
                raise IllegalPlanError("plan", "the latency is asked for, and the host's times are not known", fix)
        self._problem = problem
        self._model = cp_model.CpModel()
        self._on = {x: self._model.new_bool_var(x) for x in problem.free}
        for name in problem.free:
            if name in problem.to_chip:
                self._model.add(self._on[name] == 1)
            for producer in {p for p, c in problem.edges if c == name} - problem.sources:
                self._model.add(self._on[name] <= self._on.get(producer, 0))
        if problem.most_cores is not None:
            self._model.add(sum(problem.cores[x] * v for x, v in self._on.items()) <= problem.most_cores)
        crossing = self._crossings()
        self._energy = self._cost(problem.chip_j, problem.host_j, problem.transfer_j, crossing, JOULE)
        self._goals: dict[str, Expression] = {"energy": self._energy}
        if problem.host_s is not None:
            spent = self._cost(problem.once_s, problem.host_s, problem.transfer_s, crossing, SECOND)
            self._goals["latency"] = spent + self._chip_time()

    def solve(self, goal: Goal, below: int | None = None) -> frozenset[str] | None:
        """The best assignment by one goal, then by the other; with a latency `below` this; None where there is none."""
        model = self._model.clone()
        if below is not None:
            model.add(self._goals["latency"] <= below - 1)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers, solver.parameters.random_seed = 1, 0
        found = None
        for current in sorted(self._goals, key=lambda x: x != goal):
            model.minimize(self._goals[current])
            status: Any = solver.solve(model)
            if status != cp_model.OPTIMAL:
                return found
            found = frozenset(x for x, v in self._on.items() if solver.boolean_value(v))
            model.add(self._goals[current] <= round(solver.objective_value))
        return found

    def value(self, goal: Goal, on_chip: frozenset[str]) -> int:
        """A goal of an assignment in whole numbers."""
        model, solver = self._model.clone(), cp_model.CpSolver()
        for name, variable in self._on.items():
            model.add(variable == (name in on_chip))
        model.minimize(self._goals[goal])
        solver.solve(model)
        return round(solver.objective_value)

    def _crossings(self) -> dict[str, Expression]:
        """Whether each op's result crosses: true as soon as one consumer is on the other side."""
        found: dict[str, Expression] = {}
        for producer, consumer in self._problem.edges:
            here, there = self._on.get(producer), self._on.get(consumer)
            if here is None and there is None:
                continue
            variable = found.setdefault(producer, self._model.new_bool_var(f"{producer} crosses"))
            if here is None:
                self._model.add(variable >= there)
            else:
                self._model.add(variable >= here - (0 if there is None else there))
        return found

    def _cost(
        self, chip: Mapping[str, float], host: Mapping[str, float], transfer: Mapping[str, float],
        crossing: Mapping[str, Expression], unit: int,
    ) -> Expression:  # fmt: skip
        whole = {name: round(value * unit) for name, value in host.items()}
        terms = [(round(chip.get(x, 0.0) * unit) - whole[x]) * v for x, v in self._on.items()]
        terms += [round(transfer[x] * unit) * v for x, v in crossing.items()]
        return sum(whole.values()) + sum(terms)

    def _chip_time(self) -> Expression:
        """Steps of the pipeline times the step of the busiest core."""
        problem, model = self._problem, self._model
        spiking = {x: v for x, v in self._on.items() if x in problem.step_s}
        if not spiking:
            return 0
        steps = {x: round((problem.step_s[x] + problem.sync_s) * SECOND) for x in spiking}
        step = model.new_int_var(0, max(steps.values()), "step")
        most = problem.steps - 1 + len(spiking)
        count = model.new_int_var(0, most, "count")
        level = {x: model.new_int_var(0, len(spiking), f"{x} level") for x in spiking}
        for name, variable in spiking.items():
            model.add(step >= steps[name] * variable)
            model.add(level[name] >= variable)
            model.add(count >= level[name] + (problem.steps - 1) * variable)
            for producer in {p for p, c in problem.edges if c == name} & level.keys():
                model.add(level[name] >= level[producer] + 1).only_enforce_if(variable)
        time = model.new_int_var(0, most * max(steps.values()), "chip")
        model.add_multiplication_equality(time, [step, count])
        return time
