"""When each layer does what, and how its neurons are made to do it.

SANA-FE delivers what a neuron sends one step later. A layer at depth d, ports being at depth 0, thus does our
step t in its step t + d: that is its lag. Its neurons obey our integer law exactly, in units of 2^6, where there
is no current memory and nothing is clipped. Two things have no word there: graded input, and a bias that sets in
after the first step. Both are written as a bias that changes from step to step.

Where a network is more than that (paths of different length, current memory, resets on a clock), firing can be
imposed instead: the bias is then 2 for a neuron that fires, 1 for one that is active, 0 for an idle one.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType

import numpy as np

from hwsim.quantity import FloatArray
from snn_export.network import DECAY_BITS, STATE_LIMIT, STATE_SHIFT, IntArray, Layer, NetworkError, SpikingNetwork

IMPOSED_THRESHOLD = 1.5
"""Between what an active and a firing neuron get where firing is imposed."""
_NEVER = float(STATE_LIMIT)
"""A threshold, before the shift, that no potential reaches."""


def lags(network: SpikingNetwork) -> dict[str, int]:
    """Steps by which each port and layer is late.

    Raises:
        NetworkError: where paths of different length meet, or the dynamics are not SANA-FE's.
    """
    found = {port.name: 0 for port in network.inputs}
    for layer in network.layers:
        where, ahead = f"$.layers[{layer.name}]", {found[x.source] for x in layer.connections}
        if len(ahead) > 1:
            raise _refusal(where, "paths of different length meet here, and SANA-FE delays each layer by a step")
        if layer.neuron.ukeep:
            raise _refusal(f"{where}.neuron.ukeep", "SANA-FE does not count neurons with only a current as active")
        if layer.neuron.reset_interval:
            raise _refusal(f"{where}.neuron.reset_interval", "SANA-FE has no resets on a clock")
        found[layer.name] = ahead.pop() + 1
    return found


def _refusal(where: str, what: str) -> NetworkError:
    return NetworkError(where, what, "impose the firing of its neurons")


def neuron_attributes(layer: Layer, imposed: bool) -> dict[str, list[float] | list[str]]:
    """SANA-FE's constants of every neuron of a layer, but for the bias."""
    if imposed:
        return {"threshold": [IMPOSED_THRESHOLD] * layer.size, "leak_decay": [0.0] * layer.size}
    neuron = layer.neuron
    threshold = np.array([_NEVER]) if neuron.readout else neuron.vth
    mode = {"zero": "hard", "soft": "soft", "none": "none"}[neuron.reset.value]
    return {
        "threshold": per_neuron(threshold, layer).tolist(),
        "leak_decay": (per_neuron(neuron.keep, layer) / 2**DECAY_BITS).tolist(),
        "reset_mode": [mode] * layer.size,
    }


def bias(layer: Layer, lag: int, current: IntArray) -> FloatArray:
    """The bias of every neuron in every step, [T, N]: its own from step `lag` on, and a graded input's current.

    Args:
        layer: the layer.
        lag: its lag.
        current: weights times graded input, before the shift, int64 [T, N] in our steps.
    """
    steps = len(current)
    found = np.zeros(current.shape)
    own = per_neuron(layer.neuron.bias, layer) / 2**STATE_SHIFT
    found[lag:] = (own + current)[: max(0, steps - lag)]
    return found


def changes(values: MappingType[str, FloatArray]) -> list[list[tuple[str, list[int], list[float]]]]:
    """Per step: the layer, the neurons whose value [T, N] is another than in the step before, and their new values."""
    steps = len(next(iter(values.values())))
    found: list[list[tuple[str, list[int], list[float]]]] = [[] for _ in range(steps)]
    for name, array in values.items():
        before = np.zeros(array.shape[1])
        for step, now in enumerate(array):
            changed = np.flatnonzero(now != before)
            if changed.size:
                found[step].append((name, changed.tolist(), now[changed].tolist()))
            before = now
    return found


def per_neuron(constant: IntArray, layer: Layer) -> FloatArray:
    """A constant of shape (1,) or (C,) for every neuron of a layer, float [N]."""
    return np.broadcast_to(constant.reshape(-1, *(1 for _ in layer.shape[1:])), layer.shape).reshape(-1).astype(float)
