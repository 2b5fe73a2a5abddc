"""The contract's arithmetic in plain numpy: the truth that every executor must equal, bit for bit.

Never optimised: one line per line of the contract in `snn_export.network`. Fixed-point networks compute in
int64, float networks in float64.
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
    Sparse,
    SpikingNetwork,
    Synapse,
    check_inputs,
    weighted,
)


def run(network: SpikingNetwork, inputs: Mapping[str, IntArray]) -> Recording:
    """Run every GOP from zero state.

    Args:
        network: the graph to run.
        inputs: port name to integers [G, T, *shape], or to real numbers where the port takes them.

    Raises:
        NetworkError: where an input does not fit its port.
    """
    gops, steps = check_inputs(network, inputs)
    number, kept = (np.int64, np.int32) if network.fixed else (np.float64, np.float64)
    advance = step if network.fixed else float_step
    spikes = {x.name: np.zeros((gops, steps, *x.shape), np.uint8) for x in network.layers}
    potentials = {x.name: np.zeros((gops, steps, *x.shape), kept) for x in network.layers}
    saturations = {x.name: 0 for x in network.layers}
    for g in range(gops):
        u = {x.name: np.zeros(x.shape, number) for x in network.layers}
        v = {x.name: np.zeros(x.shape, number) for x in network.layers}
        for t in range(steps):
            values = {port.name: inputs[port.name][g, t].astype(number) for port in network.inputs}
            for layer in network.layers:
                name = layer.name
                if layer.neuron.clears_before(t):
                    u[name], v[name] = np.zeros((2, *layer.shape), number)
                a = accumulate(layer, values)
                u[name], v[name], fired, clipped = advance(layer, u[name], v[name], a)
                values[name] = fired.astype(number)
                spikes[name][g, t], potentials[name][g, t] = fired, v[name]
                saturations[name] += clipped
    return Recording(spikes, potentials, saturations)


def accumulate(layer: Layer, values: Mapping[str, IntArray]) -> IntArray:
    """Line 1 of the contract: the sum of weight times input over all connections, in the values' type."""
    parts = [_product(connection.synapse, values[connection.source]) for connection in layer.connections]
    return np.asarray(sum(parts))


def step(layer: Layer, u: IntArray, v: IntArray, a: IntArray) -> tuple[IntArray, IntArray, IntArray, int]:
    """Lines 2 to 5 of the contract for one population, in integers.

    Returns:
        The new u and v, the spikes (bool), and how many potentials were clipped.
    """
    neuron = layer.neuron
    keep, vth, bias = (per_channel(x, layer).astype(np.int64) for x in (neuron.keep, neuron.vth, neuron.bias))
    u = np.sign(u) * ((np.abs(u) * int(neuron.ukeep)) >> DECAY_BITS) + (a << STATE_SHIFT)
    full = np.sign(v) * ((np.abs(v) * keep) >> DECAY_BITS) + u + bias
    v = np.clip(full, -STATE_LIMIT, STATE_LIMIT)
    v, fired = _fire(layer, v, vth << STATE_SHIFT)
    return u, v, fired, int((full != np.clip(full, -STATE_LIMIT, STATE_LIMIT)).sum())


def float_step(layer: Layer, u: IntArray, v: IntArray, a: IntArray) -> tuple[IntArray, IntArray, IntArray, int]:
    """Lines 2 to 5 of the contract for one population, in real numbers; nothing is ever clipped."""
    neuron = layer.neuron
    keep, vth, bias = (per_channel(x, layer).astype(np.float64) for x in (neuron.keep, neuron.vth, neuron.bias))
    u = u * neuron.ukeep + a
    v, fired = _fire(layer, v * keep + u + bias, vth)
    return u, v, fired, 0


def per_channel(value: IntArray, layer: Layer) -> IntArray:
    """A constant of shape (1,) or (C,) shaped to broadcast over the layer."""
    return value.reshape(-1, *(1 for _ in layer.shape[1:]))


def conv2d(s: IntArray, synapse: Conv2d) -> IntArray:
    """Cross-correlation of s [C, H, W], tap by tap."""
    out_channels, height, width = synapse.output_shape(s.shape)
    (dy, dx), (py, px), (ey, ex) = synapse.stride, synapse.padding, synapse.dilation
    padded = np.pad(s, ((0, 0), (py, py), (px, px)))
    groups = padded.reshape(synapse.groups, -1, *padded.shape[1:])
    weight = synapse.weight.astype(s.dtype).reshape(synapse.groups, -1, *synapse.weight.shape[1:])
    a = np.zeros((synapse.groups, out_channels // synapse.groups, height, width), s.dtype)
    for ky in range(weight.shape[3]):
        for kx in range(weight.shape[4]):
            y, x = ky * ey, kx * ex
            tap = groups[:, :, y : y + dy * (height - 1) + 1 : dy, x : x + dx * (width - 1) + 1 : dx]
            a += np.einsum("goi,giyx->goyx", weight[:, :, :, ky, kx], tap)
    return a.reshape(out_channels, height, width)


def dense(s: IntArray, synapse: Dense) -> IntArray:
    """Matrix product with the flattened input."""
    return np.asarray(synapse.weight.astype(s.dtype) @ s.reshape(-1))


def sparse(s: IntArray, synapse: Sparse) -> IntArray:
    """Each synapse adds its product to its target."""
    a = np.zeros(synapse.size[0], s.dtype)
    np.add.at(a, synapse.rows, synapse.weight.astype(s.dtype) * s.reshape(-1)[synapse.columns])
    return a


def _product(synapse: Synapse, s: IntArray) -> IntArray:
    synapse = weighted(synapse, s.shape)
    if isinstance(synapse, Conv2d):
        return conv2d(s, synapse)
    return dense(s, synapse) if isinstance(synapse, Dense) else sparse(s, synapse)


def _fire(layer: Layer, v: IntArray, threshold: IntArray) -> tuple[IntArray, IntArray]:
    fired = (v > threshold) & (not layer.neuron.readout)
    if layer.neuron.reset is Reset.ZERO:
        v = np.where(fired, 0, v)
    elif layer.neuron.reset is Reset.SOFT:
        v = np.where(fired, v - threshold, v)
    return v, fired
