"""Our counts, energy and times against a report of SANA-FE, step by step and core by core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from hwsim.chip import Chip
from hwsim.energy import energy
from hwsim.engine import Counts, Result
from hwsim.mapping.model import Mapping
from hwsim.quantity import FloatArray
from hwsim.sanafe.export import tile_numbers
from hwsim.sanafe.schedule import lags
from hwsim.timing import step_times
from snn_export.network import IntArray, SpikingNetwork

_SENT = ("spikes", "active_updates", "packets_sent", "hops_ew", "hops_ns")
"""Counts of a core's own neurons."""
_RECEIVED = ("synops_by_kind", "macs", "packets_received")
"""Counts of what reaches a core, which SANA-FE handles in the step in which it was sent."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """What was compared, over all steps, and where it differs.

    Attributes:
        differences: one line each, none where all is equal.
        spikes: firing neurons, ours.
        synops: synaptic operations, ours.
        packets: packets sent by cores, ours.
        hops: tiles that they crossed, ours.
        energy_error: largest relative difference of a step's energy.
        time_error: largest relative difference of a step's length.
    """

    differences: tuple[str, ...]
    spikes: int
    synops: int
    packets: int
    hops: int
    energy_error: float
    time_error: float


def compare(
    network: SpikingNetwork,
    mapping: Mapping,
    chip: Chip,
    result: Result,
    report: dict[str, Any],
    imposed: bool = False,
    tolerance: float = 1e-9,
) -> Agreement:
    """Compare a counted run of one GOP with SANA-FE's report of the same network, mapping and input.

    Args:
        network: as exported.
        mapping: as exported.
        chip: as exported.
        result: our run, all recorded.
        report: what the process that ran SANA-FE wrote.
        imposed: whether firing was imposed; else each layer is a step later than its sources there.
        tolerance: most relative difference of energy and time.
    """
    if result.counts is None:
        raise ValueError("the run was not counted: run it with the mapping")
    late = dict.fromkeys(network.shapes, 0) if imposed else lags(network)
    counts = _shifted(result.counts, mapping, late, imposed)
    joules, seconds = _prices(chip, mapping, counts)
    energy_error = _error(joules, _column(report, "total_energy"))
    time_error = _error(seconds, _column(report, "sim_time"))
    found = [*_spikes(network, result, report, late), *_per_core(mapping, counts, report)]
    if counts.active_updates is not None:
        fired = np.sum([[len(x) for x in steps] for steps in report["spikes"].values()], 0)
        host = _column(report, "fired") - fired  # SANA-FE's input neurons
        found += _differ("active neurons", counts.active_updates[0].sum(1), _column(report, "updated") - host)
    for name, error in (("energy", energy_error), ("time", time_error)):
        if not error <= tolerance:
            found.append(f"{name}: {error:.3g} relative difference")
    spikes, synops, packets, hops = (
        int(x.sum()) for x in (counts.spikes, counts.synops, counts.packets_sent, counts.hops)
    )
    return Agreement(tuple(found), spikes, synops, packets, hops, energy_error, time_error)


def _column(report: dict[str, Any], key: str) -> FloatArray:
    return np.array([step[key] for step in report["steps"]], float)


def _shifted(counts: Counts, mapping: Mapping, late: dict[str, int], imposed: bool) -> Counts:
    """The counts in SANA-FE's steps: what a core does comes as many steps later as its layer is late."""
    lag = np.array([late[core.layer] for core in mapping.cores])
    moved: dict[str, Any] = {name: _shift(getattr(counts, name), lag) for name in _SENT}
    moved |= {name: _shift(getattr(counts, name), lag if imposed else lag - 1) for name in _RECEIVED}
    return replace(counts, **moved)


def _shift(array: IntArray | None, lag: IntArray) -> IntArray | None:
    """Counts [1, T, K, ...] of which those of each core come `lag` steps later; 0 before."""
    if array is None:
        return None
    steps = array.shape[1]
    source = np.arange(steps)[:, None] - lag
    found = array[0, np.maximum(source, 0), np.arange(lag.size)]
    found[source < 0] = 0
    return np.asarray(found[None])


def _prices(chip: Chip, mapping: Mapping, counts: Counts) -> tuple[FloatArray, FloatArray]:
    """Joules, static power left out, and seconds of each step."""
    joules = []
    for t in range(counts.spikes.shape[1]):
        one = _step(counts, t)
        found = energy(chip, mapping, one, step_times(chip, mapping, one))
        joules.append(found.total.nominal - found.by_event["static"].nominal)
    return np.array(joules), step_times(chip, mapping, counts).step.nominal[0]


def _step(counts: Counts, t: int) -> Counts:
    arrays = {f.name: getattr(counts, f.name) for f in fields(Counts) if f.name != "links"}
    one: dict[str, Any] = {name: None if x is None else x[:, t : t + 1] for name, x in arrays.items()}
    return replace(counts, **one)


def _error(ours: FloatArray, theirs: FloatArray) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-30)).max())


def _spikes(network: SpikingNetwork, result: Result, report: dict[str, Any], late: dict[str, int]) -> Iterator[str]:
    for layer in network.layers:
        ours = result.recording.spikes[layer.name][0]
        for step, fired in enumerate(report["spikes"][layer.name]):
            t = step - late[layer.name]
            expected = np.flatnonzero(ours[t]).tolist() if t >= 0 else []
            if fired != expected:
                yield f"spikes of {layer.name!r} at {step}: {len(expected)} ours, {len(fired)} of SANA-FE, not the same"


def _per_core(mapping: Mapping, counts: Counts, report: dict[str, Any]) -> Iterator[str]:
    """Packets, operations and hops of every core and step."""
    number = {(tile, core.slot): core.id for tile, core in zip(tile_numbers(mapping), mapping.cores, strict=True)}
    shape = counts.spikes.shape[1:]
    sent, received, synops, hops = (np.zeros(shape, np.int64) for _ in range(4))
    for step, tile, core, to_tile, to_core, packets, operations, crossed in report["messages"]:
        source, target = number.get((tile, core)), number[to_tile, to_core]
        received[step, target] += packets
        synops[step, target] += operations
        if source is not None:  # else it came from the host
            sent[step, source] += packets
            hops[step, source] += crossed
    yield from _differ("packets sent", counts.packets_sent[0], sent)
    yield from _differ("packets received", counts.packets_received[0], received)
    yield from _differ("synaptic operations", counts.synops[0], synops)
    yield from _differ("hops", counts.hops[0], hops)


def _differ(name: str, ours: IntArray, theirs: IntArray) -> Iterator[str]:
    for place in zip(*np.nonzero(ours != theirs), strict=True):
        yield f"{name} at {tuple(map(int, place))}: {ours[place]} ours, {theirs[place]:g} of SANA-FE"
