"""What a run costs in joules: static power times time, plus events times what each costs.

Aggregate figures of energy per synaptic operation contain static power already and are never used as the
cost of one event. A low total takes low constants and low times, a high one high ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.chip import Chip
from hwsim.costs import KINDS, BarrierCosts, PhaseCosts
from hwsim.engine.counts import Counts
from hwsim.mapping.model import Mapping
from hwsim.quantity import Quantity, Range, Ranges
from hwsim.timing import Timing, check_chip
from snn_export.network import IntArray

EVENTS = ("synaptic_operations", "neuron_updates", "spikes", "packets", "hops", "core_phases", "static")
"""Kinds of events; a chip prices those of its kind of clocking."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """One constant that went into a total.

    Attributes:
        event: the kind of event it prices.
        constant: its key in the chip file, below `costs`.
        quantity: its band, unit, status and source.
    """

    event: str
    constant: str
    quantity: Quantity


@dataclass(frozen=True, slots=True, eq=False)
class Energy:
    """Energy of a run in joules, over all GOPs and steps.

    Attributes:
        total: everything.
        by_event: by kind of event, in the order of `EVENTS`; sums to the total.
        by_layer: by layer; static power is no layer's and is left out.
        by_core: by core [K]; static power left out.
        provenance: the constants used, with their sources.
    """

    total: Range
    by_event: dict[str, Range]
    by_layer: dict[str, Range]
    by_core: Ranges
    provenance: tuple[Provenance, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    """How often each core caused an event [K], and the constant that prices it."""

    event: str
    constant: str
    quantity: Quantity
    count: IntArray


def energy(chip: Chip, mapping: Mapping, counts: Counts, timing: Timing) -> Energy:
    """Price a run.

    Raises:
        ChipError: where the mapping or the counts are not for this chip.
    """
    check_chip(chip, mapping, counts)
    costs = chip.costs
    items = _items(costs, counts)
    zero = Range(0.0, 0.0, 0.0)
    by_event: dict[str, Range] = {}
    by_core = zero.of(np.zeros(len(mapping.cores)))
    for item in items:
        part = item.quantity.si.of(item.count)
        by_core = by_core + part
        by_event[item.event] = by_event.get(item.event, zero) + part.total()
    by_event["static"] = costs.power_static.si * mapping.chips * timing.total
    total = sum(by_event.values(), zero)
    sources = [Provenance(item.event, item.constant, item.quantity) for item in items]
    sources.append(Provenance("static", "power_static", costs.power_static))
    return Energy(total, by_event, _by_layer(mapping, by_core), by_core, tuple(sources))


def _items(costs: BarrierCosts | PhaseCosts, counts: Counts) -> list[_Item]:
    if isinstance(costs, PhaseCosts):
        gops, steps, cores = counts.spikes.shape
        phases = np.full(cores, gops * steps)
        return [_Item("core_phases", "energy_core_phase", costs.energy_core_phase, phases)]
    synops = counts.synops_by_kind.sum((0, 1))
    named = [("synaptic_operations", f"energy_synapse_{kind}", synops[:, i]) for i, kind in enumerate(KINDS)]
    if counts.active_updates is not None:
        named.append(("neuron_updates", "energy_neuron_active", counts.active_updates.sum((0, 1))))
    named += [
        ("neuron_updates", "energy_neuron_update", counts.neuron_updates.sum((0, 1))),
        ("spikes", "energy_spike", counts.spikes.sum((0, 1))),
        ("packets", "energy_packet", counts.packets_sent.sum((0, 1))),
        ("packets", "energy_packet_in", counts.packets_received.sum((0, 1))),
        ("hops", "energy_hop_ew", counts.hops_ew.sum((0, 1))),
        ("hops", "energy_hop_ns", counts.hops_ns.sum((0, 1))),
    ]
    return [_Item(event, constant, getattr(costs, constant), count) for event, constant, count in named]


def _by_layer(mapping: Mapping, by_core: Ranges) -> dict[str, Range]:
    layers = np.array([core.layer for core in mapping.cores])
    found = {}
    for name in dict.fromkeys(layers.tolist()):
        own = layers == name
        found[name] = Ranges(by_core.low[own], by_core.nominal[own], by_core.high[own]).total()
    return found
