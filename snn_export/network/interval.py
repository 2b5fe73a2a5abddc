"""Proven bounds of the accumulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from snn_export.network.contract import IntArray

if TYPE_CHECKING:
    from snn_export.network.graph import Layer, SpikingNetwork

Interval = tuple[int, int]


def channel_intervals(layer: Layer, intervals: Mapping[str, Interval]) -> tuple[IntArray, IntArray]:
    """Proven bounds of ``a``, low and high, of each output channel: int64 [1] or [C].

    They hold over all inputs in `intervals` (by source name) and all positions of `layer`. A positive weight
    meets the largest value for the upper bound and the smallest for the lower one. Zero padding is covered,
    since every interval here contains 0.
    """
    low = high = np.zeros(1, np.int64)
    for connection in layer.connections:
        smallest, largest = intervals[connection.source]
        positive, negative = connection.synapse.reach()
        low = low + positive * smallest + negative * largest
        high = high + positive * largest + negative * smallest
    return low, high


def accumulator_interval(layer: Layer, intervals: Mapping[str, Interval]) -> Interval:
    """Proven bounds of ``a`` over all channels; see `channel_intervals`."""
    low, high = channel_intervals(layer, intervals)
    return int(low.min()), int(high.max())


def source_intervals(network: SpikingNetwork) -> dict[str, Interval]:
    """Smallest and largest value that every port and layer of a fixed-point network can give, by name."""
    ports = {port.name: port.interval for port in network.inputs}
    return ports | {layer.name: (0, 1) for layer in network.layers}
