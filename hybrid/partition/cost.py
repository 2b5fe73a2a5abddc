"""What each op costs on each side and what each value costs on the link, per GOP, by shapes and activities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from hwsim.chip import Chip
from hwsim.costs import KINDS, PhaseCosts
from hwsim.mapping import DoesNotFit
from hwsim.mapping.mapper import on_snake
from hwsim.mapping.model import Core
from hwsim.quantity import Range
from hybrid.graph import ModelGraph, Op
from hybrid.graph.population import Population
from hybrid.partition.artificial import ArtificialWork, artificial_works
from hybrid.partition.problem import Problem
from hybrid.platform import Host, Link
from snn_export.network import (
    LIF,
    Connection,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
)

POTENTIAL_BYTES = 4
"""A 24-bit membrane potential travels as a 32-bit word."""
Band = Literal["low", "nominal", "high"]
_NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ChipWork:
    """What an op takes on the chip.

    Attributes:
        energy: joules per GOP.
        step: seconds that its busiest core takes for one step, by mean activity.
        cores: cores that it is cut into.
    """

    energy: Range
    step: Range
    cores: int


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """Costs by op name.

    Attributes:
        chip: of spiking ops that fit the chip.
        artificial: of ops that it can run in ANN mode, where that is asked for.
        unfit: why a spiking op does not fit it.
        host_j: joules on the host.
        host_s: seconds on the host; None where its times are not known.
        transfer_j: joules of moving the op's result over the link once.
        transfer_s: seconds of that.
        bytes: what that moves.
        steps: steps per GOP on the chip.
        sync: barrier of a step if everything that fits were on the chip.
    """

    chip: Mapping[str, ChipWork]
    artificial: Mapping[str, ArtificialWork]
    unfit: Mapping[str, DoesNotFit | NetworkError]
    host_j: Mapping[str, Range]
    host_s: Mapping[str, Range] | None
    transfer_j: Mapping[str, Range]
    transfer_s: Mapping[str, Range]
    bytes: Mapping[str, int]
    steps: int
    sync: Range

    def on_chip(self, op: str) -> ChipWork | ArtificialWork:
        """What an op takes on the chip."""
        return self.chip[op] if op in self.chip else self.artificial[op]

    def problem(self, constraints: Problem, chip: Band = "nominal", host: Band = "nominal") -> Problem:
        """The numbers of one end of the bands, link and chip alike, with the constraints of another problem."""
        seconds = None if self.host_s is None else _pick(self.host_s, host)
        return replace(
            constraints, host_j=_pick(self.host_j, host), host_s=seconds,
            chip_j={x: getattr(self.on_chip(x).energy, chip) for x in constraints.chip_j},
            step_s={x: getattr(self.chip[x].step, chip) for x in constraints.chip_j if x in self.chip},
            once_s={x: getattr(self.artificial[x].time, chip) for x in constraints.chip_j if x in self.artificial},
            cores={x: self.on_chip(x).cores for x in constraints.chip_j},
            transfer_j=_pick(self.transfer_j, chip), transfer_s=_pick(self.transfer_s, chip),
            steps=self.steps, sync_s=getattr(self.sync, chip),
        )  # fmt: skip


def costs_of(
    graph: ModelGraph,
    chip: Chip,
    host: Host,
    link: Link,
    input_bits: Mapping[str, int],
    measured_s: Mapping[str, Range] | None = None,
    artificial: bool = False,
) -> Costs:
    """Estimate all costs from shapes and the activities measured while tracing.

    Args:
        graph: the traced model.
        chip: where spiking ops may run.
        host: where everything may run.
        link: between the two.
        input_bits: bits of a value of each graded input, by op name.
        measured_s: seconds of each op on the host, where they were measured.
        artificial: let the chip take ops in its ANN mode, if it has one.
    """
    ops, activity = graph.ops, _activity_of_results(graph)
    work: dict[str, ChipWork] = {}
    unfit: dict[str, DoesNotFit | NetworkError] = {}
    for op in ops.values():
        population = graph.populations.get(op.name)
        if not op.spiking or population is None or not population.layers:
            continue
        try:
            cores = _cores(population, graph, chip)
        except (DoesNotFit, NetworkError) as error:
            unfit[op.name] = error
        else:
            work[op.name] = _work(op, chip, cores, activity[op.name], _kind(population))
    taken = artificial_works(graph, chip) if artificial else {}
    bits = {x.name: chip.core.ann_bits for x in ops.values() if x.name in taken or (taken and x.kind == "input")}
    bits |= input_bits
    moved = {x.name: _bytes(x, activity[x.name], link, bits.get(x.name)) for x in ops.values()}
    tiles = -(-sum(x.cores for x in work.values()) // chip.mesh.cores_per_tile)
    sync = _NOTHING if isinstance(chip.costs, PhaseCosts) else chip.costs.sync_time(max(1, tiles)).si
    return Costs(
        work, taken, unfit,
        {x.name: host.energy(x.macs, x.parameter_bytes) for x in ops.values()},
        _host_times(graph, host, measured_s),
        {name: link.energy(count) for name, count in moved.items()},
        {name: link.time(count) for name, count in moved.items()},
        moved, max((x.steps for x in ops.values()), default=1) or 1, sync,
    )  # fmt: skip


def _host_times(graph: ModelGraph, host: Host, measured: Mapping[str, Range] | None) -> dict[str, Range] | None:
    if measured is not None:
        return dict(measured)
    found = {}
    for op in graph.ops.values():
        seconds = _NOTHING if op.kind in ("input", "output") else host.time(op.macs, op.parameter_bytes)
        if seconds is None:
            return None
        found[op.name] = seconds
    return found


def _activity_of_results(graph: ModelGraph) -> dict[str, float]:
    """Share of nonzero values in each op's result, where a spiking layer listens to it; else 1."""
    activity = dict.fromkeys(graph.ops, 1.0)
    for source, consumer in graph.edges:
        if graph.ops[consumer].spiking:
            activity[source] = graph.ops[consumer].activity
    return activity


def _cores(population: Population, graph: ModelGraph, chip: Chip) -> tuple[Core, ...]:
    """The cores that a population would be cut into alone.

    Raises:
        DoesNotFit: where it exceeds a core.
        NetworkError: where so many synapses meet in a neuron that no weights keep the accumulator in range.
    """
    inside = {layer.name for layer in population.layers}
    sources = dict.fromkeys(c.source for x in population.layers for c in x.connections if c.source not in inside)
    network = SpikingNetwork(
        tuple(InputPort(name, graph.ops[name].shape[1:], 1) for name in sources),
        tuple(_binary(layer) for layer in population.layers),
    )
    return on_snake(network, chip).cores


def _binary(layer: Layer) -> Layer:
    """The layer with weights of 1: its cores depend on which weights there are, not on their values."""
    connections = tuple(
        c if isinstance(c.synapse, SumPool2d)
        else Connection(c.source, replace(c.synapse, weight=(c.synapse.weight != 0).astype(np.int8)))
        for c in layer.connections
    )  # fmt: skip
    neuron = LIF(np.zeros(1, np.int32), np.ones(1, np.int32), Reset.NONE, layer.neuron.readout)
    return Layer(layer.name, layer.shape, connections, neuron)


def _kind(population: Population) -> int:
    """The kind of a population's synapses, as its number in `hwsim.costs.KINDS`."""
    synapse = population.layers[-1].connections[0].synapse
    kind = "dense" if isinstance(synapse, Dense) else "sparse" if isinstance(synapse, Sparse) else "conv"
    return KINDS.index(kind)


def _work(op: Op, chip: Chip, cores: tuple[Core, ...], firing: float, kind: int) -> ChipWork:
    costs = chip.costs
    if isinstance(costs, PhaseCosts):
        return ChipWork(costs.energy_core_phase.si * (len(cores) * op.steps), costs.time_phase.si, len(cores))
    updates = op.neurons * op.steps
    rate = firing if op.emits_spikes else 0.0
    synops = op.macs * op.activity
    energy = costs.energy_synapse[kind].si * synops
    energy = energy + (costs.energy_neuron_update.si + costs.energy_neuron_active.si) * updates
    energy = energy + (costs.energy_spike.si + costs.energy_packet.si) * (updates * rate)
    neurons = max(core.used.neurons for core in cores)
    inputs = max(core.used.inputs or 0 for core in cores)
    send = (costs.time_neuron_update.si + costs.time_neuron_active.si) * neurons
    send = send + (costs.time_spike.si + costs.time_packet.si) * (neurons * rate)
    receive = costs.time_packet_in.si * (inputs * op.activity)
    receive = receive + costs.time_synapse[kind].si * (synops / op.steps * neurons / op.neurons)
    step = Range(max(send.low, receive.low), max(send.nominal, receive.nominal), max(send.high, receive.high))
    return ChipWork(energy, step, len(cores))


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


def _pick(ranges: Mapping[str, Range], band: Band) -> dict[str, float]:
    return {name: getattr(value, band) for name, value in ranges.items()}
