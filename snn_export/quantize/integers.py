"""From a float network to one of integers.

With one unit ``q`` per layer or per channel (the real value of one integer step of ``a``) and the real value
``x`` of one integer of a source, a weight becomes ``w x / q``, the threshold ``vth / q``, the bias
``2^6 bias / q``, and the real value of a read-out is ``v / 2^6 * q``. Spikes carry no scale, so that the choice
for one layer or channel touches no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from snn_export.network import (
    ACCUMULATOR_LIMIT,
    DECAY_BITS,
    LIF,
    REAL,
    STATE_SHIFT,
    THRESHOLD_LIMIT,
    Connection,
    InputPort,
    IntArray,
    Layer,
    NetworkError,
    Sparse,
    SpikingNetwork,
    Weighted,
    channel_intervals,
    weighted,
)
from snn_export.quantize.scales import MAX, WEIGHT_LIMIT, Clipping

Sources = Sequence[tuple[str, Weighted]]
"""Name of the source and synapses, with weights in real units per integer of the source."""


def quantize_network(
    network: SpikingNetwork,
    ports: Sequence[InputPort] = (),
    *,
    per_channel: bool = False,
    clip: Clipping = MAX,
) -> SpikingNetwork:
    """Quantise a float network; the accumulator's bound is proven by intervals.

    Where int8 weights could carry the accumulator past 2^17, or the threshold past 17 bits, the unit of the
    layer (or channel) grows until they cannot. Pooling becomes a convolution of equal weights, which leaves
    the threshold as fine as elsewhere.

    Args:
        network: the float network.
        ports: integer ports in place of those that take real numbers, as `calibrate` makes them.
        per_channel: one unit per output channel instead of per layer; `vth` and `scale` follow.
        clip: how the range of the weights is chosen.

    Raises:
        NetworkError: for a fixed-point network, a port of real numbers that is not replaced, or a layer that
            cannot be brought into range.
    """
    if network.fixed:
        raise NetworkError("$.arithmetic", "the network is quantised already", "give a float network")
    replaced = {port.name: port for port in ports}
    inputs = tuple(replaced.get(port.name, port) for port in network.inputs)
    for port in inputs:
        if port.bits == REAL:
            raise NetworkError(f"$.inputs[{port.name}]", "it takes real numbers", "calibrate it, and pass the result")
    units = {port.name: replaced[port.name].scale for port in network.inputs if port.bits == REAL}
    intervals = {port.name: port.interval for port in inputs} | {layer.name: (0, 1) for layer in network.layers}
    layers = []
    for layer in network.layers:
        sources = [(c.source, _in_units(c, network, units.get(c.source, 1.0))) for c in layer.connections]
        layers.append(_quantise(layer, sources, _start(layer, sources, per_channel, clip), intervals))
    return SpikingNetwork(inputs, tuple(layers))


def _in_units(connection: Connection, network: SpikingNetwork, unit: float) -> Weighted:
    synapse = weighted(connection.synapse, network.shapes[connection.source])
    return replace(synapse, weight=synapse.weight.astype(np.float64) * unit)


def _start(layer: Layer, sources: Sources, per_channel: bool, clip: Clipping) -> IntArray:
    """The unit that the weights ask for, [1] or [C]; large enough for the threshold to fit."""
    rows = [np.concatenate(parts) for parts in zip(*(_rows(synapse) for _, synapse in sources), strict=True)]
    if not per_channel:
        rows = [np.concatenate(rows)]
    unit = np.array([clip.unit(row, WEIGHT_LIMIT) for row in rows])
    if layer.neuron.readout:
        return unit
    vth = layer.neuron.vth if per_channel else layer.neuron.vth.max(keepdims=True)
    return np.maximum(unit, vth / (THRESHOLD_LIMIT - 1))


def _rows(synapse: Weighted) -> list[IntArray]:
    """The weights into each output channel."""
    if isinstance(synapse, Sparse):
        ends = np.searchsorted(synapse.rows, np.arange(1, synapse.size[0]))
        return np.split(synapse.weight, ends)
    return list(synapse.weight.reshape(len(synapse.weight), -1))


def _quantise(layer: Layer, sources: Sources, unit: IntArray, intervals: Mapping[str, tuple[int, int]]) -> Layer:
    grown = np.zeros(1, bool)
    while True:
        done = _integers(layer, sources, unit)
        low, high = channel_intervals(done, intervals)
        reach = np.maximum(-low, high)
        if unit.size == 1:
            reach = reach.max(keepdims=True)
        if (grown & (reach == 0)).any():
            raise NetworkError(
                f"$.layers[{layer.name}]",
                "its inputs are so many, of so many bits, that any weight but 0 could pass 2^17",
                "give it fewer inputs, or inputs of fewer bits",
            )
        over = reach >= ACCUMULATOR_LIMIT
        if not over.any():
            return done
        grown = grown | over
        unit = np.where(over, unit * (reach / (ACCUMULATOR_LIMIT - 1) * (1 + 1e-3)), unit)


def _integers(layer: Layer, sources: Sources, unit: IntArray) -> Layer:
    neuron = layer.neuron
    vth = np.zeros(1) if neuron.readout else np.minimum(np.rint(neuron.vth / unit), THRESHOLD_LIMIT - 1)
    constants = LIF(
        keep=np.rint(neuron.keep * 2**DECAY_BITS).astype(np.int32),
        vth=vth.astype(np.int32),
        reset=neuron.reset,
        readout=neuron.readout,
        ukeep=round(neuron.ukeep * 2**DECAY_BITS),
        bias=np.rint(neuron.bias / unit * 2**STATE_SHIFT).astype(np.int64),
        reset_interval=neuron.reset_interval,
    )
    connections = tuple(Connection(name, _rounded(synapse, unit)) for name, synapse in sources)
    return Layer(layer.name, layer.shape, connections, constants, unit * layer.scale)


def _rounded(synapse: Weighted, unit: IntArray) -> Weighted:
    if isinstance(synapse, Sparse):
        each = unit if unit.size == 1 else unit[synapse.rows]
    else:
        each = unit.reshape(-1, *(1 for _ in synapse.weight.shape[1:]))
    weight = np.clip(np.rint(synapse.weight / each), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
    return replace(synapse, weight=weight)
