"""Price one video: energy by part and event, the time of every stage, and the timeline of its last GOP."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import numpy as np

from ann_part.measure import Measurement
from hwsim.chip import Chip
from hwsim.energy import energy as price
from hwsim.engine import Counts
from hwsim.mapping import Mapping
from hwsim.quantity import Quantity, Range
from hwsim.timing import Timing, depth
from hybrid.partition.cost import POTENTIAL_BYTES
from hybrid.platform import Host, Link
from hybrid.report import model as report
from hybrid.report.model import Band, EnergyPart, Span
from snn_export.network import IntArray, SpikingNetwork

ZERO = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Bytes over the link.

    Attributes:
        to_chip: graded input of every step, int64 [V, T].
        to_host: results of every GOP, int64 [V].
    """

    to_chip: IntArray
    to_host: IntArray

    @property
    def total(self) -> int:
        """Bytes of the whole video, both ways."""
        return int(self.to_chip.sum() + self.to_host.sum())


@dataclass(frozen=True, slots=True)
class HostWork:
    """What a host computes for one video.

    Attributes:
        macs: multiply-accumulates.
        weight_bytes: bytes of weights, fetched once.
        planned: joules by the plan, op by op; what a profile says of a device that is not here.
    """

    macs: int
    weight_bytes: int
    planned: Range


@dataclass(frozen=True, slots=True, eq=False)
class Usage:
    """What one video did.

    Attributes:
        counts: events on the chip, of every view, step and core.
        traffic: bytes over the link.
        ann: the ANN part's measurement; one call for all views.
        ann_work: what it computes over all views.
        read_s: seconds that reading and preparing the video took.
    """

    counts: Counts
    traffic: Traffic
    ann: Measurement
    ann_work: HostWork
    read_s: float


def traffic_of(
    network: SpikingNetwork,
    inputs: MappingType[str, IntArray],
    crossing: tuple[str, ...],
    counts: Counts,
    link: Link,
) -> Traffic:
    """Bytes that each step sends to the chip and each GOP sends back.

    A step's input goes as a dense array or as a list of events (address and value), whichever is smaller.

    Args:
        network: the spiking graph.
        inputs: its graded values, [V, T, *shape] by port.
        crossing: layers whose result the host takes.
        counts: of the run.
        link: gives the bytes of an address.
    """
    to_chip = np.zeros(counts.input_events.shape, np.int64)
    for port in network.inputs:
        width, size = -(-port.bits // 8), int(np.prod(port.shape))
        values = inputs[port.name]
        events = np.count_nonzero(values.reshape(*values.shape[:2], -1), axis=2)
        to_chip += np.minimum(size * width, events * (link.address_bytes + width))
    views, steps = to_chip.shape
    to_host = np.zeros(views, np.int64)
    for name in crossing:
        layer = network.layer(name)
        to_host += layer.size * POTENTIAL_BYTES if layer.neuron.readout else -(-layer.size // 8) * steps
    return Traffic(to_chip, to_host)


def counts_of(usage: Usage) -> report.Counts:
    """Totals of one video."""
    counts = usage.counts
    return report.Counts(
        synops=int(counts.synops.sum()),
        synops_dense=int(counts.synops_dense.sum()),
        acs=int(counts.acs.sum()),
        macs=int(counts.macs.sum()) + usage.ann_work.macs,
        macs_ann=usage.ann_work.macs,
        neuron_updates=int(counts.neuron_updates.sum()),
        spikes=int(counts.spikes.sum()),
        packets=int(counts.packets_received.sum()),
        hops=int(counts.hops.sum()),
        link_bytes=usage.traffic.total,
    )


def energy_of(usage: Usage, chip: Chip, mapping: Mapping, timing: Timing, host: Host, link: Link) -> report.Energy:
    """Joules of one video by part and event, each with its constant's status and source."""
    on_chip = price(chip, mapping, usage.counts, timing)
    first = {item.event: item.quantity for item in reversed(on_chip.provenance)}
    parts = [_part("chip", event.replace("_", " "), joules, first[event]) for event, joules in on_chip.by_event.items()]
    parts.append(_part("link", "bits moved", link.energy(usage.traffic.total), link.energy_bit))
    parts += host_energy(usage.ann_work, usage.ann, host)
    by_part = {name: total_of(part for part in parts if part.part == name) for name in ("chip", "link", "ann")}
    return report.Energy(**total_of(parts).model_dump(), by_part=by_part, by_kind=tuple(parts))


def host_energy(work: HostWork, measured: Measurement, host: Host) -> tuple[EnergyPart, ...]:
    """Joules of what a host computed.

    A profile that knows no power prices operations. One that is about the very device that ran the work adds the
    measured time at the device's busy power. Any other says what its device is planned to take, by times and power
    from its data sheet.
    """
    if host.times is not None and not host.runs_on(measured.device):
        return (_part("ann", "busy power times planned time", work.planned, host.times.power_busy),)
    weights = host.energy_weight_byte
    parts = (
        _part("ann", "multiply-accumulates", host.energy_mac.si * work.macs, host.energy_mac),
        _part("ann", "weights from memory", weights.si * work.weight_bytes, weights),
    )
    if host.times is None:
        return parts
    watts, seconds = host.times.power_busy.si, measured_range(measured)
    joules = Range(watts.low * seconds.low, watts.nominal * seconds.nominal, watts.high * seconds.high)
    return (*parts, _part("ann", "busy power times measured time", joules, host.times.power_busy))


def total_of(parts: Iterable[EnergyPart]) -> Band:
    """The sum of some parts."""
    bands = (part.energy_j for part in parts)
    return Band.of(sum((Range(band.low, band.nominal, band.high) for band in bands), ZERO))


def latency_of(usage: Usage, network: SpikingNetwork, timing: Timing, link: Link) -> report.Latency:
    """Response, compute time of one GOP and longest step; the slowest view counts.

    The last P-frame crosses the link, takes one chip step per layer, and its result crosses back before the
    ANN part runs on that GOP; the ANN time of one GOP is its share of the measured batch.
    """
    views = usage.traffic.to_host.shape[0]
    ann = measured_range(usage.ann) * (1 / views)
    back = link.time(int(usage.traffic.to_host.max()))
    last = link.time(int(usage.traffic.to_chip[:, -1].max()))
    step_max = Range(*(float(x.max()) for x in (timing.step.low, timing.step.nominal, timing.step.high)))
    response = last + step_max * depth(network) + back + ann
    per_gop = sum(per_gop_of(usage, network, timing, link).values(), ZERO)
    return report.Latency(response=Band.of(response), per_gop=Band.of(per_gop), step_max=Band.of(step_max))


def per_gop_of(usage: Usage, network: SpikingNetwork, timing: Timing, link: Link) -> dict[str, Range]:
    """What the compute time of one GOP is made of, end to end: `part: what` to seconds of the slowest view."""
    chip = timing.gop(depth(network))
    sent = sum((link.time(int(n)) for n in usage.traffic.to_chip.max(0)), ZERO)
    return {
        "link: both ways": sent + link.time(int(usage.traffic.to_host.max())),
        "chip: steps": Range(*(float(x.max()) for x in (chip.low, chip.nominal, chip.high))),
        "ann: measured": measured_range(usage.ann) * (1 / usage.traffic.to_host.shape[0]),
    }


def stages_of(usage: Usage, timing: Timing, link: Link) -> dict[str, Range]:
    """Seconds per video that each stage of the pipeline is busy; the longest sets the throughput."""
    transfers = [*usage.traffic.to_chip.ravel().tolist(), *usage.traffic.to_host.tolist()]
    return {
        "reader": Range(usage.read_s, usage.read_s, usage.read_s),
        "link": sum((link.time(n) for n in transfers), ZERO),
        "chip": timing.total,
        "ANN part": measured_range(usage.ann),
    }


def throughput_of(stages: dict[str, Range]) -> Range:
    """Videos per second in the pipelined steady state: one over the longest stage."""
    return Range(*(1 / max(getattr(s, edge) for s in stages.values()) for edge in ("high", "nominal", "low")))


def timeline_of(usage: Usage, network: SpikingNetwork, timing: Timing, link: Link) -> tuple[Span, ...]:
    """Nominal spans of the last GOP, from the arrival of its last P-frame on."""
    spans: list[Span] = []
    now = 0.0

    def add(lane: str, name: str, seconds: float) -> None:
        nonlocal now
        spans.append(Span.model_validate({"lane": lane, "name": name, "start_s": now, "duration_s": seconds}))
        now += seconds

    add("link", "last P-frame to the chip", link.time(int(usage.traffic.to_chip[-1, -1])).nominal)
    for i in range(depth(network)):
        add("chip", f"step of layer {i + 1}", float(timing.step.nominal[-1, -1]))
    add("link", "result to the host", link.time(int(usage.traffic.to_host[-1])).nominal)
    add("ann", "ANN part", measured_range(usage.ann).nominal / usage.traffic.to_host.shape[0])
    return tuple(spans)


def measured_range(measured: Measurement) -> Range:
    """Seconds of the fastest, the median and the slowest repeat."""
    return Range(min(measured.seconds), measured.median_s, max(measured.seconds))


def _part(part: str, kind: str, joules: Range, constant: Quantity) -> EnergyPart:
    return EnergyPart(part=part, kind=kind, energy_j=Band.of(joules), status=constant.status, source=constant.source)
