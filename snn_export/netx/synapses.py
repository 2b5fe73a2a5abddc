"""Between the wide integer weights of a netx file and the int8 weights of a network.

lava-dl's weights are even integers from -256 to 254. A network holds them as parallel connections of one pattern,
whose products add up; most weights are 0 in all but the first.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from snn_export.network import Connection, Conv2d, Dense, IntArray, Layer, Sparse, SpikingNetwork, SumPool2d, Synapse

INT8 = (-128, 127)


def split(source: str, synapse: Conv2d | Dense) -> tuple[Connection, ...]:
    """Connections whose int8 weights add up to those of `synapse`, of any integer type."""
    connections: list[Connection] = []
    rest = synapse.weight
    while not connections or rest.any():
        part = np.clip(rest, *INT8)
        connections.append(Connection(source, replace(synapse, weight=part.astype(np.int8))))
        rest = rest - part
    return tuple(connections)


def mergeable(layer: Layer) -> bool:
    """Whether all connections of the layer have one pattern."""
    return len({_pattern(connection.synapse) for connection in layer.connections}) == 1


def merged(network: SpikingNetwork, layer: Layer) -> Conv2d | Dense:
    """The sum of the layer's connections, which `mergeable` accepts, as one synapse of int32 weights.

    Sum pooling becomes a convolution with one group per channel, a list of synapses a matrix.
    """
    parts = [_plain(c.synapse, network.shapes[c.source][0]) for c in layer.connections]
    total = np.sum([part.weight.astype(np.int32) for part in parts], axis=0, dtype=np.int32)
    return replace(parts[0], weight=total)


def identity(shape: tuple[int, ...]) -> Synapse:
    """One synapse of weight 1 from each value to the neuron of the same place."""
    if len(shape) == 3:
        return Conv2d(np.ones((shape[0], 1, 1, 1), np.int8), groups=shape[0])
    index = np.arange(shape[0], dtype=np.int32)
    return Sparse(np.ones(shape[0], np.int8), index, index, (shape[0], shape[0]))


def is_identity(synapse: Synapse, shape: tuple[int, ...]) -> bool:
    """Whether `synapse` is what `identity` makes of a source of `shape`."""
    same = identity(shape)
    return (
        type(synapse) is type(same)
        and _pattern(synapse) == _pattern(same)
        and all(np.array_equal(a, b) for a, b in zip(_arrays(synapse), _arrays(same), strict=True))
    )


def _arrays(synapse: Synapse) -> list[IntArray]:
    return [getattr(synapse, name) for name in ("weight", "rows", "columns") if hasattr(synapse, name)]


def _pattern(synapse: Synapse) -> tuple[object, ...]:
    if isinstance(synapse, SumPool2d):
        return ("pool", synapse.kernel, synapse.stride, synapse.padding)
    if isinstance(synapse, Conv2d):
        return (synapse.weight.shape, synapse.stride, synapse.padding, synapse.dilation, synapse.groups)
    return ("matrix",)


def _plain(synapse: Synapse, channels: int) -> Conv2d | Dense:
    if isinstance(synapse, SumPool2d):
        return synapse.as_conv2d(channels)
    if isinstance(synapse, Sparse):
        weight = np.zeros(synapse.size, np.int32)
        weight[synapse.rows, synapse.columns] = synapse.weight
        return Dense(weight)
    return synapse
