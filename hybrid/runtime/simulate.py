"""Run a spiking network alone on a simulated chip: no model, no video, no host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwsim.chip import Chip
from hwsim.energy import Energy, energy
from hwsim.engine import Counts, run
from hwsim.mapping import Mapping, Quality, assess, map_network
from hwsim.timing import Timing, step_times
from hybrid.runtime.spikes import Values
from snn_export.network import REAL, InputPort, SpikingNetwork
from snn_export.quantize import calibrate, quantize_network, to_integers

CALIBRATED_BITS = 8
"""Bits of the integers that real input values become, sign included."""

STAGES = ("map", "simulate", "price")


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """A network that ran on a chip.

    Attributes:
        chip: the chip.
        network: the network of integers that ran.
        mapping: where its neurons sit.
        quality: how good that is.
        counts: what every core did [G, T, K].
        timing: times of every step.
        energy: joules of the whole run.
        saturations: layer name to the number of potentials that were clipped.
        wraps: layer name to the number of synaptic currents that left 24 bits, where a chip would wrap.
    """

    chip: Chip
    network: SpikingNetwork
    mapping: Mapping
    quality: Quality
    counts: Counts
    timing: Timing
    energy: Energy
    saturations: dict[str, int]
    wraps: dict[str, int]


def to_integer_network(network: SpikingNetwork, values: Values) -> tuple[SpikingNetwork, Values, tuple[str, ...]]:
    """Quantise a float network and the real values that enter it; one of integers stays as it is.

    A port of real numbers becomes one of spikes where its values are all 0 or 1; else it gets integers of
    `CALIBRATED_BITS`, scaled to the largest magnitude among the values.

    Args:
        network: of either arithmetic.
        values: port name to [G, T, *shape].

    Returns:
        The network and the values, and in words what was done.

    Raises:
        NetworkError: for a layer that cannot be brought into range.
    """
    if network.fixed:
        return network, values, ()
    ports, integers, notes = [], dict(values), ["the float network was quantised to int8 weights"]
    for port in network.inputs:
        if port.bits != REAL:
            continue
        given = values[port.name]
        if np.isin(given, (0, 1)).all():
            ports.append(InputPort(port.name, port.shape, 1))
            integers[port.name] = given.astype(np.int16)
            continue
        ports.append(calibrate(port, given, CALIBRATED_BITS))
        integers[port.name] = to_integers(ports[-1], given)
        unit = f"one unit is {ports[-1].scale:.3g}"
        notes.append(f"input {port.name!r} was calibrated to {CALIBRATED_BITS} bits by its own values: {unit}")
    return quantize_network(network, ports), integers, tuple(notes)


def simulate(
    network: SpikingNetwork, values: Values, chip: Chip, on_stage: Callable[[str], None] = lambda stage: None
) -> Simulation:
    """Map a network, run it exactly, time and price it.

    Args:
        network: of integers.
        values: port name to integers [G, T, *shape].
        chip: where to run.
        on_stage: told each of `STAGES` as it begins.

    Raises:
        hwsim.mapping.DoesNotFit: where a layer exceeds a core of the chip.
        NetworkError: for a float network, or values that do not fit their port.
    """
    on_stage("map")
    mapping = map_network(network, chip)
    found = assess(network, chip, mapping)
    on_stage("simulate")
    result = run(network, values, mapping, record="readout")
    if result.counts is None:
        raise RuntimeError("the simulator was given a mapping and counted nothing")
    on_stage("price")
    timing = step_times(chip, mapping, result.counts)
    joules = energy(chip, mapping, result.counts, timing)
    return Simulation(
        chip, network, mapping, found, result.counts, timing, joules,
        dict(result.recording.saturations), dict(result.wraps),
    )  # fmt: skip
