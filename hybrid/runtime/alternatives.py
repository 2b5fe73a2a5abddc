"""One video in other ways: its spiking part on every shipped chip, and the whole model on a CPU or a GPU alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Literal

import torch

from ann_part.measure import DeviceError, Measurement, measure
from ann_part.precision import check_precision
from hwsim.chip import Chip, load, names
from hwsim.engine import Engine
from hwsim.mapping import DoesNotFit, Mapping
from hwsim.mapping.mapper import on_snake
from hwsim.timing import Timing, step_times
from hybrid.bundle import Bundle
from hybrid.model.inputs import chip_values
from hybrid.platform import Host, host_of_device
from hybrid.report.model import Alternative, Alternatives, Band, EnergyPart, Verdict
from hybrid.report.side import Figure
from hybrid.report.verdict import change_of, verdict_of
from hybrid.runtime import account
from hybrid.runtime.classify import Classified, Tell
from hybrid.runtime.journal import Settings
from hybrid.runtime.plain import PlainModel, plain_inputs

MOST_CORES = 1024
"""Cores from which on a chip is left out: to count on so many takes minutes."""
MOST_REPEATS = 3
"""Timed runs of the whole model on a device."""


Way = tuple[Figure | None, Figure]
"""Energy, where it is known, and compute time of a GOP of the video, each with what it is made of."""


def alternatives_of(bundle: Bundle, video: str, classified: Classified, settings: Settings, tell: Tell) -> Alternatives:
    """This run's video on every other chip and on every device here, each against this run.

    The chips take the very network of the bundle, its cores in the order of layers. Host and link stay as they are:
    their constants, and the measured time of the ANN part, are the same on both sides.

    Args:
        bundle: that ran.
        video: name of the clip.
        classified: what it did.
        settings: of the run: its precision and its repeats hold for the devices, where they have it.
        tell: told (what, done, of how many).
    """
    chip = bundle.manifest.chip
    ours = _way(bundle, chip, bundle.mapping, classified.usage, classified.timing)
    others = [name for name in names() if name != chip.name]
    found = [_row(chip.name, "this run", ours, f"{chip.title}, ANN part on {classified.device}")]
    for number, name in enumerate(others):
        tell(f"compare with {name}", number, len(others) + 1)
        found.append(_on_chip(bundle, classified, load(name), ours))
    tell("compare with the model alone", len(others), len(others) + 1)
    found += _on_devices(bundle, classified, settings, ours)
    return Alternatives(video=video, rows=tuple(found))


def _way(bundle: Bundle, chip: Chip, mapping: Mapping, usage: account.Usage, timing: Timing) -> Way:
    manifest = bundle.manifest
    energy = account.energy_of(usage, chip, mapping, timing, manifest.host, manifest.link)
    seconds = account.per_gop_of(usage, bundle.network, timing, manifest.link)
    bands = {name: Band.of(part) for name, part in seconds.items()}
    total = Band.of(sum(seconds.values(), account.ZERO))
    return _joules(energy.by_kind), Figure(value=total, unit="s", how="modelled and measured", kinds=bands)


def _on_chip(bundle: Bundle, classified: Classified, chip: Chip, ours: Way) -> Alternative:
    network = bundle.network
    least = -(-sum(layer.size for layer in network.layers) // chip.core.neurons)
    if least > MOST_CORES:
        return _row(chip.name, "chip", None, f"it takes {least:,} cores or more; this counts on {MOST_CORES:,}")
    try:
        mapping = on_snake(network, chip)
    except DoesNotFit as error:
        return _row(chip.name, "chip", None, f"{error.what}; {error.fix}")
    cores = len(mapping.cores)
    if cores > MOST_CORES:
        return _row(chip.name, "chip", None, f"it takes {cores:,} cores; this counts on {MOST_CORES:,}")
    counts = Engine(network, mapping).run(chip_values(network, classified.views), "readout").counts
    if counts is None:
        raise RuntimeError("the simulator was given a mapping and counted nothing")
    usage, timing = replace(classified.usage, counts=counts), step_times(chip, mapping, counts)
    note = f"{chip.title}; {cores:,} cores on {mapping.chips} chip{'s' if mapping.chips > 1 else ''}"
    return _row(chip.name, "chip", _way(bundle, chip, mapping, usage, timing), note, ours, {"link", "host"})


def _on_devices(bundle: Bundle, classified: Classified, settings: Settings, ours: Way) -> Iterator[Alternative]:
    model, inputs = PlainModel(bundle), plain_inputs(bundle, classified.views)
    weights = sum(x.numel() * x.element_size() for x in model.spiking.buffers())
    for name in ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",):
        device = torch.device(name)
        try:
            precision = check_precision(settings.precision, device)
        except DeviceError:
            precision = "fp32"
        try:
            measured = measure(model, inputs, device, min(settings.repeats, MOST_REPEATS), precision)
        except DeviceError as error:
            yield _row(name, "device", None, error.what)
        else:
            yield _on_device(bundle, classified, measured, weights, ours)


def _on_device(bundle: Bundle, classified: Classified, measured: Measurement, weights: int, ours: Way) -> Alternative:
    """`weights` are bytes of the spiking part's constants in float32."""
    usage, own, device = classified.usage, bundle.manifest.host, measured.device
    known = own if own.runs_on(device) else host_of_device(device)
    host = known or (own if own.times is None else None)
    seconds = Band.of(account.measured_range(measured) * (1 / len(classified.views.iframe)))
    joules = None
    if host is not None:
        work = replace(
            usage.ann_work, macs=usage.ann_work.macs + int(usage.counts.synops_dense.sum()),
            weight_bytes=usage.ann_work.weight_bytes + weights,
        )  # fmt: skip
        joules = _joules(account.host_energy(work, measured, host))
    note = f"the whole model in {measured.precision}, spiking layers dense: time measured, energy {_how(host)}"
    way = joules, Figure(value=seconds, unit="s", how="measured")
    return _row(f"{device}, alone", "device", way, note, ours, {"host"} if host == own else set())


def _how(host: Host | None) -> str:
    if host is None:
        return "unknown, as no profile says what this device draws"
    how = "counted by operations" if host.times is None else "as that time at the power of a data sheet"
    return f"{how} ({host.title})"


def _joules(parts: tuple[EnergyPart, ...]) -> Figure:
    kinds = {f"{part.part}: {part.kind}": part.energy_j for part in parts}
    return Figure(value=account.total_of(parts), unit="J", how="modelled", kinds=kinds)


def _row(
    name: str,
    kind: Literal["this run", "chip", "device"],
    way: Way | None,
    note: str,
    ours: Way | None = None,
    shared: Collection[str] = (),
) -> Alternative:
    """The row and, against `ours`, its place; `shared` are the owners whose constants both have."""
    joules, seconds = way or (None, None)
    our_joules, our_seconds = ours or (None, None)
    return Alternative(
        name=name, kind=kind, note=note,
        energy_j=None if joules is None else joules.value, energy_is=_place(our_joules, joules, shared),
        per_gop_s=None if seconds is None else seconds.value, time_is=_place(our_seconds, seconds, shared),
    )  # fmt: skip


def _place(left: Figure | None, right: Figure | None, shared: Collection[str]) -> Verdict | None:
    if left is None or right is None:
        return None
    return verdict_of(left, right, change_of(left, right, shared))
