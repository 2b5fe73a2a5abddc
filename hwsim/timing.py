"""How long steps take.

Barrier chips (Loihi; Davies et al. 2018, and the simple timing model of SANA-FE, Boyle et al. 2025): a core
sends (updates its neurons, makes packets) and receives (takes packets in, does synaptic operations) side by
side, a link passes one packet after the other, and all wait for the slowest:

    step = max over cores and links of (send, receive, link) + sync(mapped tiles)
    send = updates x t_update + active x t_active + spikes x t_spike + packets sent x t_packet
    receive = packets received x t_packet_in + synaptic operations of each kind x t_synapse
    link = packets over it x t_hop of its direction

A maximum over cores and links is a lower bound that follows the measured time of Loihi 2 closely (Timcheck et al.
2026, arXiv:2601.10035; its constants are not used here).

Phase chips (Tianjic; Pei et al. 2019): every step is one phase of fixed length.

Each layer adds one step of delay on either kind, so the answer to a GOP comes depth - 1 steps after its last
step entered. Not modelled: packets that wait for each other in routers or for a busy core, and the flight of
the last packet along its path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.chip import Chip, ChipError
from hwsim.costs import BarrierCosts
from hwsim.engine.counts import Counts
from hwsim.mapping.model import Mapping
from hwsim.mapping.routing import Link
from hwsim.quantity import Range, Ranges
from snn_export.network import IntArray, SpikingNetwork


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """Times of a run in seconds.

    Attributes:
        step: length of each step [G, T].
        critical: id of the busiest core of each step, by nominal values, int64 [G, T].
        critical_link: index of the link that each step waits for, by nominal values, and -1 where the busiest
            core takes as long; int64 [G, T].
        core: time that each core is busy in each step [G, T, K].
        link: time that each link is busy in each step [G, T, links]; 0 where the chip does not price it.
        links: the links, in the order of `link`.
        sync: barrier of each step; 0 where there is none.
        total: all steps of all GOPs, one after the other: the pipeline stays full.
    """

    step: Ranges
    critical: IntArray
    critical_link: IntArray
    core: Ranges
    link: Ranges
    links: tuple[Link, ...]
    sync: Range
    total: Range

    def gop(self, depth: int) -> Ranges:
        """Latency of each GOP [G] through `depth` layers: its steps, and depth - 1 more of their mean."""
        return self.step.sum(1) + self.step.mean(1) * (depth - 1)


def step_times(chip: Chip, mapping: Mapping, counts: Counts) -> Timing:
    """Length of every step of a run.

    Raises:
        ChipError: where the mapping or the counts are not for this chip.
    """
    check_chip(chip, mapping, counts)
    costs = chip.costs
    if isinstance(costs, BarrierCosts):
        core = _send(costs, counts).maximum(_receive(costs, counts))
        link = _links(costs, counts)
        sync = costs.sync_time(len(set(mapping.tiles))).si
    else:
        core = costs.time_phase.si.of(np.ones(counts.spikes.shape))
        link = Range(0.0, 0.0, 0.0).of(counts.link_load)
        sync = Range(0.0, 0.0, 0.0)
    busiest, slowest = core.max(2), link.max(2)
    step = busiest.maximum(slowest) + sync
    waits = slowest.nominal > busiest.nominal
    critical = np.where(waits, link.nominal.argmax(2), -1) if counts.links else np.full(waits.shape, -1)
    return Timing(step, core.nominal.argmax(2), critical, core, link, counts.links, sync, step.total())


def depth(network: SpikingNetwork) -> int:
    """Layers on the longest path from an input port."""
    level = {port.name: 0 for port in network.inputs}
    for layer in network.layers:
        level[layer.name] = 1 + max(level[connection.source] for connection in layer.connections)
    return max(level.values())


def check_chip(chip: Chip, mapping: Mapping, counts: Counts) -> None:
    """Refuse to price a run for another chip than the one it was mapped onto.

    Raises:
        ChipError: naming both chips, or the count that is missing.
    """
    if mapping.chip != chip.name:
        raise ChipError(
            "mapping", f"it is for {mapping.chip!r}, not for {chip.name!r}", "map the network onto this chip"
        )
    if counts.spikes.shape[2] != len(mapping.cores):
        raise ChipError(
            "counts",
            f"{counts.spikes.shape[2]} cores were counted, the mapping has {len(mapping.cores)}",
            "run the network with this mapping",
        )
    if chip.costs.prices_activity and counts.active_updates is None:
        raise ChipError("counts", f"{chip.name} prices active neurons, which were not counted", "map and run it again")


def _send(costs: BarrierCosts, counts: Counts) -> Ranges:
    send = (
        costs.time_neuron_update.si.of(counts.neuron_updates)
        + costs.time_spike.si.of(counts.spikes)
        + costs.time_packet.si.of(counts.packets_sent)
    )
    if counts.active_updates is not None:
        send = send + costs.time_neuron_active.si.of(counts.active_updates)
    return send


def _receive(costs: BarrierCosts, counts: Counts) -> Ranges:
    receive = costs.time_packet_in.si.of(counts.packets_received)
    for i, time in enumerate(costs.time_synapse):
        receive = receive + time.si.of(counts.synops_by_kind[..., i])
    return receive


def _links(costs: BarrierCosts, counts: Counts) -> Ranges:
    hops = [(costs.time_hop_ew if link.direction in "EW" else costs.time_hop_ns).si for link in counts.links]
    edges = (np.array([getattr(hop, edge) for hop in hops]) for edge in ("low", "nominal", "high"))
    return Ranges(*(counts.link_load * times for times in edges))
