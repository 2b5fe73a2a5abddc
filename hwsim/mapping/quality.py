"""How good a mapping is: its objective against the optimum where cores are few, else against a lower bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hwsim.chip import Chip
from hwsim.costs import BarrierCosts
from hwsim.mapping.bounds import lower_bound
from hwsim.mapping.fanout import dense_synops
from hwsim.mapping.layout import Layout
from hwsim.mapping.model import Mapping
from hwsim.mapping.objective import Objective, pace_of
from hwsim.mapping.traffic import core_traffic
from snn_export.network import SpikingNetwork

SMALL = 9
"""Most cores for which the optimum is looked for."""
_LIMIT = 1.0
"""Bound on that search, in the solver's deterministic time units."""


@dataclass(frozen=True, slots=True)
class Quality:
    """The value of a placement and what it could be at best, for a step in which every neuron fires.

    Attributes:
        objective: the placement's own.
        bound: the optimum, or a lower bound of either part, for the same cores on the same chips and tiles.
        how: which of the two `bound` is.
        unit: of `slowest`: `ps`, or `packets` over the busiest link for a chip that publishes no times.
        core: time of the slowest core, which placement cannot change; 0 in packets.
        core_bound: what it would be at least if every layer's work were shared out evenly to as many cores.
    """

    objective: Objective
    bound: Objective
    how: Literal["optimum", "lower bound"]
    unit: str
    core: int
    core_bound: int

    @property
    def gap(self) -> tuple[float, float]:
        """By what share the slowest core or link, and hops, lie above the bound; 0 is best.

        Hops below those of an optimum with a faster slowest link count as 0.
        """
        pairs = ((self.objective.slowest, self.bound.slowest), (self.objective.hops, self.bound.hops))
        slowest, hops = (max(0.0, value / bound - 1) if bound else float(value > 0) for value, bound in pairs)
        return slowest, hops


def assess(network: SpikingNetwork, chip: Chip, mapping: Mapping) -> Quality:
    """How good a mapping is.

    Held against the lower bound; where that is not reached, and at most `SMALL` cores are on one chip, against the
    optimum, if it is found in time.
    """
    x, y = np.array(mapping.tiles).T
    layout = Layout(core_traffic(network, mapping), x, y, pace_of(network, chip, mapping))
    found, bound = layout.objective, lower_bound(layout, np.array([core.chip for core in mapping.cores]))
    best = found if found == bound else None  # a bound that is reached is the optimum
    if best is None and len(mapping.cores) <= SMALL and mapping.chips == 1:
        from hwsim.mapping.optimum import optimum  # OR-Tools takes a while to import

        best = optimum(layout, _LIMIT)
    how: Literal["optimum", "lower bound"] = "optimum" if best else "lower bound"
    core_bound = _core_bound(network, chip, mapping)
    return Quality(found, best or bound, how, layout.pace.unit, layout.pace.floor, core_bound)


def _core_bound(network: SpikingNetwork, chip: Chip, mapping: Mapping) -> int:
    """Picoseconds that the slowest core takes at least, however layers are cut into as many cores."""
    costs = chip.costs
    if not isinstance(costs, BarrierCosts):
        return 0
    operations, owner = dense_synops(network, mapping), np.array([core.layer for core in mapping.cores])
    update = sum(t.si.nominal for t in (costs.time_neuron_update, costs.time_neuron_active, costs.time_spike))
    synapse, slowest = [time.si.nominal for time in costs.time_synapse], 0.0
    for layer in network.layers:
        own = owner == layer.name
        work = max(layer.size * update, float(operations[own].sum(0) @ synapse))
        slowest = max(slowest, work / int(own.sum()))
    return math.floor(slowest * 1e12)
