"""The integer arithmetic in plain numpy: the truth that every executor must equal, bit for bit.

Never optimised: one line per line of the contract in `snn_export.network`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snn_export.network import (
    DECAY_BITS,
    STATE_LIMIT,
    STATE_SHIFT,
    Conv2d,
    Dense,
    IntArray,
    Layer,
    Recording,
    Reset,
    SpikingNetwork,
    check_inputs,
)


def run(network: SpikingNetwork, inputs: Mapping[str, IntArray]) -> Recording:
    """Run every GOP from zero state.

    Args:
        network: the graph to run.
        inputs: port name to integers [G, T, *shape].

    Raises:
        NetworkError: where an input does not fit its port.
    """
    gops, steps = check_inputs(network, inputs)
    spikes = {x.name: np.zeros((gops, steps, *x.shape), np.uint8) for x in network.layers}
    potentials = {x.name: np.zeros((gops, steps, *x.shape), np.int32) for x in network.layers}
    saturations = {x.name: 0 for x in network.layers}
    for g in range(gops):
        u = {x.name: np.zeros(x.shape, np.int64) for x in network.layers}
        v = {x.name: np.zeros(x.shape, np.int64) for x in network.layers}
        for t in range(steps):
            values = {port.name: inputs[port.name][g, t].astype(np.int64) for port in network.inputs}
            for layer in network.layers:
                name = layer.name
                a = accumulate(layer, values)
                u[name], v[name], fired, clipped = step(layer, u[name], v[name], a)
                values[name] = fired.astype(np.int64)
                spikes[name][g, t], potentials[name][g, t] = fired, v[name]
                saturations[name] += clipped
    return Recording(spikes, potentials, saturations)


def accumulate(layer: Layer, values: Mapping[str, IntArray]) -> IntArray:
    """Line 1 of the contract: the sum of weight times input over all connections, int64."""
    a = np.zeros(layer.shape, np.int64)
    for connection in layer.connections:
        synapse, s = connection.synapse, values[connection.source]
        a += conv2d(s, synapse) if isinstance(synapse, Conv2d) else dense(s, synapse)
    return a


def step(layer: Layer, u: IntArray, v: IntArray, a: IntArray) -> tuple[IntArray, IntArray, IntArray, int]:
    """Lines 2 to 5 of the contract for one population.

    Returns:
        The new u and v, the spikes (bool), and how many potentials were clipped.
    """
    neuron = layer.neuron
    keep, vth, bias = (per_channel(x, layer) for x in (neuron.keep, neuron.vth, neuron.bias))
    u = np.sign(u) * ((np.abs(u) * neuron.ukeep) >> DECAY_BITS) + (a << STATE_SHIFT)
    full = np.sign(v) * ((np.abs(v) * keep) >> DECAY_BITS) + u + bias
    v = np.clip(full, -STATE_LIMIT, STATE_LIMIT)
    threshold = vth << STATE_SHIFT
    fired = (v > threshold) & (not neuron.readout)
    if neuron.reset is Reset.ZERO:
        v = np.where(fired, 0, v)
    elif neuron.reset is Reset.SOFT:
        v = np.where(fired, v - threshold, v)
    return u, v, fired, int((full != np.clip(full, -STATE_LIMIT, STATE_LIMIT)).sum())


def per_channel(value: IntArray, layer: Layer) -> IntArray:
    """A constant of shape (1,) or (C,) shaped to broadcast over the layer, int64."""
    return value.astype(np.int64).reshape(-1, *(1 for _ in layer.shape[1:]))


def conv2d(s: IntArray, synapse: Conv2d) -> IntArray:
    """Cross-correlation of s [C, H, W], int64, tap by tap."""
    out_channels, height, width = synapse.output_shape(s.shape)
    (dy, dx), (py, px), (ey, ex) = synapse.stride, synapse.padding, synapse.dilation
    padded = np.pad(s, ((0, 0), (py, py), (px, px)))
    groups = padded.reshape(synapse.groups, -1, *padded.shape[1:])
    weight = synapse.weight.astype(np.int64).reshape(synapse.groups, -1, *synapse.weight.shape[1:])
    a = np.zeros((synapse.groups, out_channels // synapse.groups, height, width), np.int64)
    for ky in range(weight.shape[3]):
        for kx in range(weight.shape[4]):
            y, x = ky * ey, kx * ex
            tap = groups[:, :, y : y + dy * (height - 1) + 1 : dy, x : x + dx * (width - 1) + 1 : dx]
            a += np.einsum("goi,giyx->goyx", weight[:, :, :, ky, kx], tap)
    return a.reshape(out_channels, height, width)


def dense(s: IntArray, synapse: Dense) -> IntArray:
    """Matrix product with the flattened input, int64."""
    return np.asarray(synapse.weight.astype(np.int64) @ s.reshape(-1))
