"""From float ConvLIF layers to a SpikingNetwork of integers.

A layer computes ``v = keep * v + W s``. With one weight scale ``q`` per layer and the input's unit ``x`` (the
real value of one integer), ``a`` counts units of ``q * x``; so the integer threshold is ``vth / (q * x)`` and
the read-out's real value is ``v / 2^6 * q * x``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from snn_export.network import (
    ACCUMULATOR_LIMIT,
    DECAY_BITS,
    LIF,
    THRESHOLD_LIMIT,
    Connection,
    Conv2d,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
    accumulator_interval,
)

WEIGHT_LIMIT = 127


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


def quantize(inputs: Sequence[InputPort], layers: Sequence[FloatConvLIF]) -> SpikingNetwork:
    """Quantise layers given in topological order; the accumulator's bound is proven by intervals.

    Where int8 weights could carry the accumulator past 2^17, or the threshold past 17 bits, the layer's
    weight scale grows until they cannot.

    Raises:
        NetworkError: for weights that are not finite, or a layer that cannot be brought into range.
    """
    intervals = {port.name: port.interval for port in inputs}
    units = {port.name: port.scale for port in inputs}
    shapes = {port.name: port.shape for port in inputs}
    quantised = []
    for layer in layers:
        done = _layer(layer, shapes, intervals, units)
        quantised.append(done)
        intervals[layer.name], units[layer.name], shapes[layer.name] = (0, 1), 1.0, done.shape
    return SpikingNetwork(tuple(inputs), tuple(quantised))


def _layer(
    layer: FloatConvLIF,
    shapes: Mapping[str, tuple[int, ...]],
    intervals: Mapping[str, tuple[int, int]],
    units: Mapping[str, float],
) -> Layer:
    here = f"$.layers[{layer.name}]"
    if not (np.isfinite(layer.weight).all() and np.isfinite(layer.vth) and layer.vth > 0):
        raise NetworkError(here, "its weights or threshold are not finite and positive", "train the model again")
    largest = float(np.abs(layer.weight).max())
    scale = largest / WEIGHT_LIMIT if largest > 0 else 1.0
    if not layer.readout:
        scale = max(scale, layer.vth / units[layer.source] / (THRESHOLD_LIMIT - 1))
    while True:
        unit = scale * units[layer.source]
        vth = 0 if layer.readout else max(0, round(layer.vth / unit))
        done = _integers(layer, shapes[layer.source], scale, min(vth, THRESHOLD_LIMIT - 1), unit)
        low, high = accumulator_interval(done, intervals)
        reach = max(-low, high)
        if reach < ACCUMULATOR_LIMIT:
            return done
        scale *= reach / (ACCUMULATOR_LIMIT - 1) * (1 + 1e-3)


def _integers(layer: FloatConvLIF, source: tuple[int, ...], scale: float, vth: int, unit: float) -> Layer:
    weight = np.clip(np.rint(layer.weight / scale), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
    synapse = Conv2d(weight, layer.stride, layer.padding, layer.dilation, layer.groups)
    keep = np.array([round(layer.keep * 2**DECAY_BITS)], np.int32)
    neuron = LIF(keep, np.array([vth], np.int32), layer.reset, layer.readout)
    connections = (Connection(layer.source, synapse),)
    return Layer(layer.name, synapse.output_shape(source), connections, neuron, np.array([unit]))
