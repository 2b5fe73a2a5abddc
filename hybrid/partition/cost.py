"""What each op costs on each side and what each value costs on the link, in joules per GOP."""

from __future__ import annotations

from dataclasses import dataclass

from hwsim.chip import Chip
from hwsim.costs import PhaseCosts
from hwsim.quantity import Range
from hybrid.graph import ModelGraph, Op
from hybrid.platform import Host, Link

POTENTIAL_BYTES = 4
"""A 24-bit membrane potential travels as a 32-bit word."""


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Energies by op name.

    Attributes:
        chip: on the chip, for ops that it can run.
        host: on the host.
        transfer: of moving the op's result over the link once.
        bytes: that this moves.
    """

    chip: dict[str, Range]
    host: dict[str, Range]
    transfer: dict[str, Range]
    bytes: dict[str, int]


def costs_of(graph: ModelGraph, chip: Chip, host: Host, link: Link, input_bits: dict[str, int]) -> Costs:
    """Estimate all costs from shapes and the activities measured while tracing.

    Args:
        graph: the traced model.
        chip: where spiking ops may run.
        host: where everything may run.
        link: between the two.
        input_bits: bits of a value of each graded input, by op name.
    """
    activity = _activity_of_results(graph)
    chip_energy = {op.name: _on_chip(op, chip, activity[op.name]) for op in graph.ops.values() if op.spiking}
    host_energy = {op.name: host.energy(op.macs, op.parameter_bytes) for op in graph.ops.values()}
    moved = {
        op.name: _bytes(op, activity[op.name], link, input_bits.get(op.name)) for op in graph.ops.values()
    }  # fmt: skip
    return Costs(chip_energy, host_energy, {name: link.energy(count) for name, count in moved.items()}, moved)


def _activity_of_results(graph: ModelGraph) -> dict[str, float]:
    """Share of nonzero values in each op's result, where a spiking layer listens to it; else 1."""
    activity = dict.fromkeys(graph.ops, 1.0)
    for source, consumer in graph.edges:
        if graph.ops[consumer].spiking:
            activity[source] = graph.ops[consumer].activity
    return activity


def _on_chip(op: Op, chip: Chip, firing: float) -> Range:
    costs = chip.costs
    if isinstance(costs, PhaseCosts):
        cores = -(-op.neurons // chip.core.neurons)
        return costs.energy_core_phase.si * (cores * op.steps)
    updates = op.neurons * op.steps
    spikes = updates * firing if op.emits_spikes else 0.0
    energy = costs.energy_synapse_conv.si * (op.macs * op.activity)
    energy = energy + (costs.energy_neuron_update.si + costs.energy_neuron_active.si) * updates
    return energy + (costs.energy_spike.si + costs.energy_packet.si) * spikes


def _bytes(op: Op, activity: float, link: Link, bits: int | None) -> int:
    """The smaller of a dense array and a list of events (address and payload)."""
    values = 1
    for size in op.shape:
        values *= size
    if op.emits_spikes:
        return min(-(-values // 8), round(values * activity) * link.address_bytes)
    width = POTENTIAL_BYTES if bits is None else -(-bits // 8)
    if bits is None:
        return values * width
    return min(values * width, round(values * activity) * (link.address_bytes + width))
