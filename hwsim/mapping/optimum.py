"""The best placement there is, by CP-SAT (OR-Tools): for few cores, to know how far the swaps stay from it."""

from __future__ import annotations

import numpy as np
from ortools.sat.python import cp_model

from hwsim.mapping.layout import Layout
from hwsim.mapping.objective import Objective
from hwsim.mapping.routing import route
from snn_export.network import IntArray


def optimum(layout: Layout, limit: float) -> Objective | None:
    """The least objective of all placements on the tiles of `layout`; cores of one chip.

    Each core is on one tile; each flow is on one pair of tiles, that of its ends (Adams and Johnson 1994). First the
    slowest link is minimised, then hops without making it slower.

    Args:
        layout: any placement.
        limit: bound on the work, in the solver's deterministic time units (about seconds).

    Returns:
        None where the optimum is not proven within the limit.
    """
    model, slowest, hops = _model(layout)
    first = _minimum(model, slowest, limit)
    if first is None:
        return None
    model.add(slowest == first)
    second = _minimum(model, hops, limit)
    return None if second is None else Objective(first, second)


def _minimum(model: cp_model.CpModel, value: cp_model.LinearExprT, limit: float) -> int | None:
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.random_seed = 1, 0  # one worker: always the same answer
    solver.parameters.max_deterministic_time = limit
    model.minimize(value)
    status = solver.solve(model)
    return round(solver.objective_value) if solver.status_name(status) == "OPTIMAL" else None


def _model(layout: Layout) -> tuple[cp_model.CpModel, cp_model.IntVar, cp_model.LinearExpr]:
    """The model, the time of the slowest core or link, and the hops."""
    model, pace = cp_model.CpModel(), layout.pace
    tiles, room = np.unique(np.stack([layout.x, layout.y], 1), axis=0, return_counts=True)
    cores, count = len(layout.x), len(tiles)
    on = [[model.new_bool_var(f"core {i} on tile {t}") for t in range(count)] for i in range(cores)]
    for row in on:
        model.add_exactly_one(row)
    for t in range(count):
        model.add(sum(row[t] for row in on) == int(room[t]))
    source, target = np.divmod(np.arange(count * count), count)
    routes = route([(tuple(tiles[s]), tuple(tiles[t])) for s, t in zip(source, target, strict=True)])
    far = routes.ew + routes.ns
    carried: list[list[cp_model.LinearExpr]] = [[] for _ in routes.links]
    hops = []
    taken = routes.incidence.tocsc()
    for (a, b), packets in zip(layout.ends.T.tolist(), layout.packets.tolist(), strict=True):
        pair = [model.new_bool_var("") for _ in far]
        for t in range(count):
            model.add(sum(pair[t * count : (t + 1) * count]) == on[a][t])
            model.add(sum(pair[t::count]) == on[b][t])
        for k, variable in enumerate(pair):
            if far[k]:
                hops.append(packets * int(far[k]) * variable)
            for link in _column(taken, k):
                carried[link].append(packets * variable)
    most = int(layout.packets.sum()) * max(pace.ew, pace.ns) + pace.floor
    slowest = model.new_int_var(pace.floor, most, "slowest")
    for link, loads in zip(routes.links, carried, strict=True):
        time = pace.ew if link.direction in "EW" else pace.ns
        if time:
            model.add(time * sum(loads) <= slowest)
    return model, slowest, cp_model.LinearExpr.sum(hops) if hops else cp_model.LinearExpr.sum([0])


def _column(matrix: object, k: int) -> IntArray:
    return matrix.indices[matrix.indptr[k] : matrix.indptr[k + 1]]  # type: ignore[attr-defined, no-any-return]
