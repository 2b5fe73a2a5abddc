"""What a network did alone on a chip, as plain data: by layer, by core, by step.

Counts and energies are those of the whole run, all GOPs and steps; energies are joules, times seconds.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hwsim.mapping import Quality
from hwsim.metrics import metrics
from hwsim.quantity import Quantity, Range, Ranges
from hwsim.timing import depth
from hybrid.report.model import Band
from hybrid.runtime.simulate import Simulation
from snn_export.network import IntArray

EVENTS = ("spikes", "synops", "macs", "synops_dense", "neuron_updates", "packets_sent", "packets_received", "hops")
"""Counts that every core has; see `hwsim.engine.Counts`."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Events(_Record):
    """Counts of a layer, a core, or the whole run."""

    spikes: int = Field(description="spikes fired")
    synops: int = Field(description="synaptic operations: nonzero weights met by nonzero inputs")
    macs: int = Field(description="those of them on graded input; the others are accumulates")
    synops_dense: int = Field(description="synaptic operations if every weight and input counted")
    neuron_updates: int = Field(description="updates of a membrane potential")
    packets_sent: int = Field(description="messages from a neuron to a core")
    packets_received: int = Field(description="messages that arrived, those from outside included")
    hops: int = Field(description="tiles crossed by the messages sent")


class LayerRow(Events):
    """One layer."""

    layer: str
    neurons: int
    cores: int
    saturations: int = Field(description="potentials clipped to 24 bits")
    wraps: int = Field(description="synaptic currents past 24 bits, where a chip would wrap")
    energy_j: Band = Field(description="without static power")


class CoreRow(Events):
    """One core."""

    core: int
    layer: str
    neurons: int
    chip: int
    x: int = Field(description="tile from west to east")
    y: int = Field(description="tile from north to south")
    slot: int = Field(description="core within the tile")
    busy_s: Band = Field(description="time at work, over all steps")
    critical_steps: int = Field(description="steps that waited for this core")
    energy_j: Band = Field(description="without static power")


class LinkRow(_Record):
    """One directed link between neighbouring tiles, chips side by side."""

    x: int = Field(description="tile that it leaves, from west to east over all chips")
    y: int = Field(description="tile that it leaves, from north to south")
    direction: str = Field(description="E, W, N or S")
    packets: int = Field(description="that took it")
    packets_max: int = Field(description="the most in one step")
    busy_s: Band = Field(description="time at work, over all steps; 0 where the chip does not price it")
    critical_steps: int = Field(description="steps that waited for this link")


class PlacementQuality(_Record):
    """How good the placement is, for a step in which every neuron fires."""

    unit: str = Field(description="of what is slowest: ps, or packets over one link where the chip publishes no times")
    slowest: int = Field(description="the slowest core or link")
    slowest_bound: int = Field(description="what it is at least")
    slowest_gap: float = Field(description="share by which it lies above that")
    hops: int = Field(description="tiles crossed by all packets")
    hops_bound: int
    hops_gap: float
    how: str = Field(description="what the bounds are: the optimum, or a lower bound")
    core: int = Field(description="the slowest core; 0 in packets")
    core_bound: int = Field(description="what it is at least, if its layer is cut into as many cores in any way")


class StepRow(_Record):
    """One step, and what it waited for: a core, or a link, or nothing where its length is fixed."""

    gop: int
    step: int
    time_s: Band
    critical_core: int | None
    critical_layer: str | None
    critical_link: int | None = Field(description="place in the list of links")
    input_events: int
    spikes: int
    synops: int


class ConstantUse(_Record):
    """A constant that priced something."""

    event: str
    constant: str
    quantity: Quantity


class SynapticOperations(_Record):
    """NeuroBench's synaptic operations, per GOP."""

    dense: float = Field(description="all weights times all activations, zero or not")
    effective_macs: float = Field(description="nonzero weights that meet a nonzero activation that is not binary")
    effective_acs: float = Field(description="nonzero weights that meet a nonzero binary activation")


class NeuroBench(_Record):
    """NeuroBench's metrics; see `hwsim.metrics`."""

    footprint: int = Field(description="bytes of weights and neuron constants")
    connection_sparsity: float = Field(description="share of weights that are zero")
    activation_sparsity: float = Field(description="share of silent neurons, over all spiking layers and steps")
    synaptic_operations: SynapticOperations


class SimulationReport(_Record):
    """Everything about one run of a network alone."""

    network: str = Field(description="the file")
    chip: str
    title: str = Field(description="of the chip")
    chips: int = Field(description="chips used")
    gops: int
    steps: int = Field(description="per GOP")
    placement: PlacementQuality
    notes: tuple[str, ...] = Field(description="where the input came from, how the network was made ready")
    totals: Events
    input_events: int = Field(description="nonzero input values")
    layers: tuple[LayerRow, ...]
    cores: tuple[CoreRow, ...]
    links: tuple[LinkRow, ...] = Field(description="those that a packet can take")
    by_step: tuple[StepRow, ...]
    time_s: Band = Field(description="of the whole run, GOP after GOP")
    latency_s: Band = Field(description="of one GOP through all layers, the mean")
    energy_j: Band
    energy_by_event_j: dict[str, Band]
    neurobench: NeuroBench
    constants: tuple[ConstantUse, ...] = Field(description="with their sources")


def build(simulation: Simulation, network: str, notes: tuple[str, ...]) -> SimulationReport:
    """The report of a run; `network` is what to call the file, `notes` what else the reader must know."""
    counts, timing, energy = simulation.counts, simulation.timing, simulation.energy
    gops, steps = counts.spikes.shape[:2]
    latency = timing.gop(depth(simulation.network)).mean(0)
    return SimulationReport(
        network=network,
        chip=simulation.chip.name,
        title=simulation.chip.title,
        chips=simulation.mapping.chips,
        gops=gops,
        steps=steps,
        placement=_placement(simulation.quality),
        notes=notes,
        totals=Events(**_events(simulation, slice(None))),
        input_events=int(counts.input_events.sum()),
        layers=_layers(simulation),
        cores=_cores(simulation),
        links=_links(simulation),
        by_step=_steps(simulation),
        time_s=Band.of(timing.total),
        latency_s=Band(low=float(latency.low), nominal=float(latency.nominal), high=float(latency.high)),
        energy_j=Band.of(energy.total),
        energy_by_event_j={event: Band.of(joules) for event, joules in energy.by_event.items()},
        neurobench=NeuroBench.model_validate(asdict(metrics(simulation.network, simulation.mapping, counts))),
        constants=tuple(
            ConstantUse(event=x.event, constant=x.constant, quantity=x.quantity)
            for x in energy.provenance
            if x.quantity.high > 0
        ),
    )


def _placement(quality: Quality) -> PlacementQuality:
    slowest, hops = quality.gap
    return PlacementQuality(
        unit=quality.unit,
        slowest=quality.objective.slowest,
        slowest_bound=quality.bound.slowest,
        slowest_gap=slowest,
        hops=quality.objective.hops,
        hops_bound=quality.bound.hops,
        hops_gap=hops,
        how=quality.how,
        core=quality.core,
        core_bound=quality.core_bound,
    )


def _events(simulation: Simulation, cores: slice | IntArray) -> dict[str, Any]:
    """Totals of some cores, given by index or mask."""
    return {name: int(getattr(simulation.counts, name)[:, :, cores].sum()) for name in EVENTS}


def _layers(simulation: Simulation) -> tuple[LayerRow, ...]:
    owner = np.array([core.layer for core in simulation.mapping.cores])
    rows = []
    for layer in simulation.network.layers:
        held = owner == layer.name
        rows.append(
            LayerRow(
                layer=layer.name,
                neurons=layer.size,
                cores=int(held.sum()),
                saturations=simulation.saturations[layer.name],
                wraps=simulation.wraps[layer.name],
                energy_j=Band.of(simulation.energy.by_layer[layer.name]),
                **_events(simulation, held),
            )
        )
    return tuple(rows)


def _cores(simulation: Simulation) -> tuple[CoreRow, ...]:
    busy, waited = simulation.timing.core.sum((0, 1)), _critical(simulation)
    rows = []
    for core in simulation.mapping.cores:
        rows.append(
            CoreRow(
                core=core.id,
                layer=core.layer,
                chip=core.chip,
                x=core.x,
                y=core.y,
                slot=core.slot,
                neurons=int(np.prod([b - a for a, b in core.block])),
                busy_s=_at(busy, core.id),
                critical_steps=0 if waited is None else int((waited == core.id).sum()),
                energy_j=_at(simulation.energy.by_core, core.id),
                **_events(simulation, np.array([core.id])),
            )
        )
    return tuple(rows)


def _links(simulation: Simulation) -> tuple[LinkRow, ...]:
    timing, load = simulation.timing, simulation.counts.link_load
    busy = timing.link.sum((0, 1))
    return tuple(
        LinkRow(
            x=link.x,
            y=link.y,
            direction=link.direction,
            packets=int(load[:, :, i].sum()),
            packets_max=int(load[:, :, i].max()),
            busy_s=_at(busy, i),
            critical_steps=int((timing.critical_link == i).sum()),
        )
        for i, link in enumerate(timing.links)
    )


def _steps(simulation: Simulation) -> tuple[StepRow, ...]:
    counts, timing, waited = simulation.counts, simulation.timing, _critical(simulation)
    rows = []
    for gop, step in np.ndindex(*counts.input_events.shape):
        core = None if waited is None or waited[gop, step] < 0 else int(waited[gop, step])
        link = int(timing.critical_link[gop, step])
        rows.append(
            StepRow(
                gop=gop,
                step=step,
                time_s=_at(timing.step, (gop, step)),
                critical_core=core,
                critical_layer=None if core is None else simulation.mapping.cores[core].layer,
                critical_link=link if link >= 0 else None,
                input_events=int(counts.input_events[gop, step]),
                spikes=int(counts.spikes[gop, step].sum()),
                synops=int(counts.synops[gop, step].sum()),
            )
        )
    return tuple(rows)


def _critical(simulation: Simulation) -> IntArray | None:
    """The core that each step waited for, -1 where it was a link, int64 [G, T]; None where steps wait for none."""
    timing = simulation.timing
    if simulation.chip.timing == "phase" or not (timing.core.high.any() or timing.link.high.any()):
        return None
    return np.where(timing.critical_link < 0, timing.critical, -1)


def _at(values: Ranges, place: int | tuple[int, int]) -> Band:
    return Band.of(Range(float(values.low[place]), float(values.nominal[place]), float(values.high[place])))
