"""The error that quantisation adds, layer by layer and step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from snn_export import reference
from snn_export.network import REAL, InputPort, IntArray, Layer, NetworkError, Recording, SpikingNetwork


@dataclass(frozen=True, slots=True)
class StepError:
    """How one step of a quantised layer differs from the float layer, over all GOPs and neurons.

    Attributes:
        step: index in the GOP.
        rms: root mean square difference of the potentials, in real units, after the reset.
        largest: largest difference of a potential.
        flipped: share of neurons whose spike differs, 0 to 1.
    """

    step: int
    rms: float
    largest: float
    flipped: float


@dataclass(frozen=True, slots=True)
class LayerError:
    """How a quantised layer differs from the float layer.

    Attributes:
        layer: its name.
        accumulated: as it runs, errors of all earlier layers included; one entry per step.
        alone: where it is given the float network's spikes: what this layer adds by itself.
        signal: root mean square of the float potentials over all steps, to compare `rms` with.
        float_rate: spikes per neuron and step in the float network.
        integer_rate: the same in the quantised network.
        saturations: potentials that the quantised network clipped.
    """

    layer: str
    accumulated: tuple[StepError, ...]
    alone: tuple[StepError, ...]
    signal: float
    float_rate: float
    integer_rate: float
    saturations: int


@dataclass(frozen=True, slots=True)
class ErrorReport:
    """The errors of all layers, in the network's order."""

    layers: tuple[LayerError, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return asdict(self)


def error_report(
    float_network: SpikingNetwork, integer_network: SpikingNetwork, inputs: Mapping[str, IntArray]
) -> ErrorReport:
    """Run both networks on the same values and compare every layer at every step.

    Args:
        float_network: the network before quantisation.
        integer_network: the same network after it, with the same names and shapes.
        inputs: integers [G, T, *shape] for each port of the integer network; a port of real numbers of the
            float network gets them times the integer port's scale.

    Raises:
        NetworkError: where the networks do not belong together, or an input does not fit its port.
    """
    if dict(float_network.shapes) != dict(integer_network.shapes) or float_network.fixed or not integer_network.fixed:
        raise NetworkError("$", "the networks are not a float one and its quantised form", "quantise the float network")
    real = {port.name: port.bits == REAL for port in float_network.inputs}
    values = {p.name: inputs[p.name] * p.scale if real[p.name] else inputs[p.name] for p in integer_network.inputs}
    truth, found = reference.run(float_network, values), reference.run(integer_network, inputs)
    given = {**inputs, **truth.spikes}
    layers = []
    for layer in integer_network.layers:
        name = layer.name
        alone = reference.run(_only(integer_network, layer), given)
        layers.append(
            LayerError(
                layer=name,
                accumulated=_steps(float_network, truth, integer_network, found, name),
                alone=_steps(float_network, truth, integer_network, alone, name),
                signal=_rms(float_network.real_potentials(name, truth.potentials[name])),
                float_rate=float(truth.spikes[name].mean()),
                integer_rate=float(found.spikes[name].mean()),
                saturations=found.saturations[name],
            )
        )
    return ErrorReport(tuple(layers))


def _only(network: SpikingNetwork, layer: Layer) -> SpikingNetwork:
    """One layer by itself, with what feeds it as ports."""
    ports = {port.name: port for port in network.inputs}
    names = dict.fromkeys(connection.source for connection in layer.connections)
    inputs = tuple(ports.get(name) or InputPort(name, network.shapes[name], 1) for name in names)
    return SpikingNetwork(inputs, (layer,))


def _steps(
    float_network: SpikingNetwork, truth: Recording, network: SpikingNetwork, found: Recording, name: str
) -> tuple[StepError, ...]:
    real = float_network.real_potentials(name, truth.potentials[name])
    difference = np.moveaxis(network.real_potentials(name, found.potentials[name]) - real, 1, 0)
    flipped = np.moveaxis(found.spikes[name] != truth.spikes[name], 1, 0)
    return tuple(
        StepError(t, _rms(d), float(np.abs(d).max()), float(f.mean()))
        for t, (d, f) in enumerate(zip(difference, flipped, strict=True))
    )


def _rms(values: IntArray) -> float:
    return float(np.sqrt((values.astype(np.float64) ** 2).mean()))
