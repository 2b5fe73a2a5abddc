"""What a placement is judged by: the slowest core or link first, then hops.

Both are taken for a step in which every neuron fires. How the neurons are cut into cores fixes how long each
core takes; the placement decides what the links carry. Where no link is slower than the slowest core, only hops
are left to lower. All numbers are whole, so that comparisons are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.chip import Chip
from hwsim.costs import BarrierCosts
from hwsim.mapping.fanout import dense_synops
from hwsim.mapping.model import Mapping
from hwsim.quantity import FloatArray
from snn_export.network import SpikingNetwork

_PS = 1e12


@dataclass(frozen=True, slots=True, order=True)
class Objective:
    """The value of a placement; smaller is better, `slowest` first.

    Attributes:
        slowest: the slowest core or link, in the unit of its `Pace`.
        hops: tiles crossed by all packets.
    """

    slowest: int
    hops: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How long packets hold links.

    Attributes:
        ew: time of a packet on a link to the east or west.
        ns: time of a packet on a link to the north or south.
        floor: time of the slowest core.
        unit: `ps`; `packets` for a chip of fixed phases, which publishes no times: then a packet counts 1 and
            the busiest link alone counts, since all of its packets must pass within the phase.
    """

    ew: int
    ns: int
    floor: int
    unit: str


def pace_of(network: SpikingNetwork, chip: Chip, mapping: Mapping) -> Pace:
    """The pace of a chip with this network on it."""
    costs = chip.costs
    if not isinstance(costs, BarrierCosts):
        return Pace(1, 1, 0, "packets")
    slowest = round(float(core_times(network, chip, mapping).max()) * _PS)
    return Pace(round(costs.time_hop_ew.si.nominal * _PS), round(costs.time_hop_ns.si.nominal * _PS), slowest, "ps")


def core_times(network: SpikingNetwork, chip: Chip, mapping: Mapping) -> FloatArray:
    """Seconds that each core of a barrier chip takes in a step in which every neuron fires [cores].

    The formula is that of `hwsim.timing`; nominal constants.
    """
    send, receive = core_work(network, chip, mapping)
    return np.maximum(send, receive)


def core_work(network: SpikingNetwork, chip: Chip, mapping: Mapping) -> tuple[FloatArray, FloatArray]:
    """Seconds that each core sends and receives in such a step [cores]."""
    costs = chip.costs
    if not isinstance(costs, BarrierCosts):
        raise TypeError(f"{chip.name} has no times of single events")
    neurons, inputs, outputs = (
        np.array([getattr(core.used, name) or 0 for core in mapping.cores]) for name in ("neurons", "inputs", "outputs")
    )
    synapse = [time.si.nominal for time in costs.time_synapse]
    each = (costs.time_neuron_update, costs.time_neuron_active, costs.time_spike)
    send = neurons * sum(time.si.nominal for time in each) + outputs * costs.time_packet.si.nominal
    receive = inputs * costs.time_packet_in.si.nominal + dense_synops(network, mapping) @ synapse
    return np.asarray(send), np.asarray(receive)
