"""Trained ConvLIF layers as a float network, and quantised.

A layer computes ``v = keep * v + W s``. Its graded inputs are integers of a known real value, the scale of
their port, which the weights of the float network absorb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from snn_export.network import (
    LIF,
    Arithmetic,
    Connection,
    Conv2d,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
)
from snn_export.quantize.integers import quantize_network
from snn_export.quantize.scales import MAX, Clipping


@dataclass(frozen=True, slots=True, eq=False)
class FloatConvLIF:
    """A trained ConvLIF layer.

    Attributes:
        name: unique.
        source: name of the port or layer that feeds it.
        weight: float [out, in / groups, kh, kw], as it acts on the potential.
        stride: rows, columns.
        padding: rows, columns.
        dilation: rows, columns.
        groups: blocks of channels.
        keep: share of the potential kept per step, 0 to 1.
        vth: firing threshold, real.
        reset: what a spike does.
        readout: never spikes; its potential is the result.
    """

    name: str
    source: str
    weight: IntArray
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    keep: float
    vth: float
    reset: Reset
    readout: bool


def quantize(
    inputs: Sequence[InputPort],
    layers: Sequence[FloatConvLIF],
    *,
    per_channel: bool = False,
    clip: Clipping = MAX,
) -> SpikingNetwork:
    """Quantise layers given in topological order.

    Args:
        inputs: the ports, with the real value of one integer as their scale.
        layers: the trained layers.
        per_channel: one weight scale per output channel instead of per layer.
        clip: how the range of the weights is chosen.

    Raises:
        NetworkError: for weights that are not finite, or a layer that cannot be brought into range.
    """
    return quantize_network(float_network(inputs, layers), per_channel=per_channel, clip=clip)


def float_network(inputs: Sequence[InputPort], layers: Sequence[FloatConvLIF]) -> SpikingNetwork:
    """The layers as a float network that takes the same integers as the quantised one.

    Raises:
        NetworkError: for weights or thresholds that are not finite and positive.
    """
    units = {port.name: port.scale for port in inputs}
    shapes = {port.name: port.shape for port in inputs}
    built = []
    for layer in layers:
        if not (np.isfinite(layer.weight).all() and np.isfinite(layer.vth) and layer.vth > 0):
            raise NetworkError(
                f"$.layers[{layer.name}]",
                "its weights or threshold are not finite and positive",
                "train the model again",
            )
        weight = layer.weight.astype(np.float64) * units.get(layer.source, 1.0)
        synapse = Conv2d(weight, layer.stride, layer.padding, layer.dilation, layer.groups)
        shapes[layer.name] = synapse.output_shape(shapes[layer.source])
        neuron = LIF(
            np.array([layer.keep]), np.array([layer.vth]), layer.reset, layer.readout, bias=np.zeros(1)
        )  # fmt: skip
        built.append(Layer(layer.name, shapes[layer.name], (Connection(layer.source, synapse),), neuron))
    return SpikingNetwork(tuple(inputs), tuple(built), Arithmetic.FLOAT)
