"""Lines 2 to 6 of the contract on float64 arrays, exact and fast: the state of a layer in a fused process.

In fixed point a potential times a 12-bit constant stays under 2^36, and the current under 2^53 for any GOP
shorter than 2^30 steps, so that float64 holds every integer that occurs.
"""

from __future__ import annotations

import numpy as np

from snn_export.network import DECAY_BITS, STATE_LIMIT, STATE_SHIFT, IntArray, Layer, Reset


class Population:
    """The state of one layer of a float network.

    Attributes:
        v: membrane potential after the last reset, float64, of the layer's shape.
        saturations: how many potentials were clipped so far.
    """

    KEEP_UNIT, THRESHOLD_UNIT = 1.0, 1.0

    def __init__(self, layer: Layer) -> None:
        neuron = layer.neuron
        self._keep = _constant(neuron.keep, layer) * self.KEEP_UNIT
        self._ukeep = neuron.ukeep * self.KEEP_UNIT
        self._bias = _constant(neuron.bias, layer)
        self._threshold = _constant(neuron.vth, layer) * self.THRESHOLD_UNIT
        self._reset = Reset.NONE if neuron.readout else neuron.reset
        self._silent = neuron.readout
        self.v, self._u = np.zeros(layer.shape), np.zeros(layer.shape)
        self.saturations = 0

    def clear(self) -> None:
        """Return all state to 0."""
        self.v[...] = 0
        self._u[...] = 0

    def step(self, a: IntArray) -> IntArray:
        """Integrate the accumulator and return the spikes, bool of the layer's shape."""
        self._integrate(a)
        if self._silent:
            return np.zeros(self.v.shape, np.bool_)
        fired = self.v > self._threshold
        if self._reset is Reset.ZERO:
            np.copyto(self.v, 0.0, where=fired)
        elif self._reset is Reset.SOFT:
            np.subtract(self.v, self._threshold, out=self.v, where=fired)
        return np.asarray(fired)

    def _integrate(self, a: IntArray) -> None:
        self._u *= self._ukeep
        self._u += a
        self.v *= self._keep
        self.v += self._u
        self.v += self._bias


class FixedPopulation(Population):
    """The state of one layer of a fixed-point network, in which v and u hold integers."""

    KEEP_UNIT, THRESHOLD_UNIT = 2.0**-DECAY_BITS, 2.0**STATE_SHIFT

    def _integrate(self, a: IntArray) -> None:
        v, u = self.v, self._u
        # the decay's law is sign(x) * ((|x| * keep) >> 12), which is a truncation toward zero
        if self._ukeep:
            u *= self._ukeep
            np.trunc(u, out=u)
            u += a * np.float32(2**STATE_SHIFT)
        else:
            np.multiply(a, 2**STATE_SHIFT, out=u)
        v *= self._keep
        np.trunc(v, out=v)
        v += u
        if self._bias.any():
            v += self._bias
        if max(-v.min(), v.max()) > STATE_LIMIT:
            self.saturations += int(np.count_nonzero(np.abs(v) > STATE_LIMIT))
            np.clip(v, -STATE_LIMIT, STATE_LIMIT, out=v)


def _constant(value: IntArray, layer: Layer) -> IntArray:
    return value.astype(np.float64).reshape(-1, *(1 for _ in layer.shape[1:]))
