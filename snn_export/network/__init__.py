"""SpikingNetwork: the typed description of a spiking graph.

A network is a directed acyclic graph. Nodes are `InputPort`s and `Layer`s; a layer is a population of
LIF neurons fed by one or more `Connection`s. The integer law that every executor obeys, for channel k and
step t, is (all operations exact in two's complement):

1. ``a = sum(w * s)``: w int8, s a binary spike or a signed graded value; `accumulator_interval` proves
   |a| < 2^17.
2. ``u' = sign(u) * ((|u| * ukeep) >> 12) + (a << 6)``
3. ``v' = sign(v) * ((|v| * keep) >> 12) + u' + bias``, clipped to +-(2^23 - 1)
4. spike if ``v' > vth << 6``, strictly
5. on a spike: ``zero`` gives 0, ``soft`` gives ``v' - (vth << 6)``, ``none`` leaves ``v'``
6. all state is 0 at the start of each GOP, and again before each step t > 0 that is a multiple of the
   layer's `reset_interval`; a read-out layer never spikes.

In float arithmetic the law is the same on real numbers, without the shifts and the clip: ``u' = u * ukeep + a``,
``v' = v * keep + u' + bias``, spike if ``v' > vth``; keep and ukeep are shares from 0 to 1. It is exact where
every value is dyadic and small enough; elsewhere executors may sum in any order.

This package holds data and its validation only: numpy and the standard library, nothing else, because every
other package may import it.
"""

from snn_export.network.contract import (
    ACCUMULATOR_LIMIT,
    DECAY_BITS,
    GRADED_BITS_LIMIT,
    REAL,
    STATE_LIMIT,
    STATE_SHIFT,
    THRESHOLD_LIMIT,
    Arithmetic,
    IntArray,
    NetworkError,
    Reset,
)
from snn_export.network.graph import LIF, Connection, InputPort, Layer, Recording, SpikingNetwork
from snn_export.network.inputs import check_inputs
from snn_export.network.interval import accumulator_interval, channel_intervals, source_intervals
from snn_export.network.synapse import Conv2d, Dense, Sparse, SumPool2d, Synapse, Weighted, weighted

__all__ = [
    "ACCUMULATOR_LIMIT",
    "DECAY_BITS",
    "GRADED_BITS_LIMIT",
    "LIF",
    "REAL",
    "STATE_LIMIT",
    "STATE_SHIFT",
    "THRESHOLD_LIMIT",
    "Arithmetic",
    "Connection",
    "Conv2d",
    "Dense",
    "InputPort",
    "IntArray",
    "Layer",
    "NetworkError",
    "Recording",
    "Reset",
    "Sparse",
    "SpikingNetwork",
    "SumPool2d",
    "Synapse",
    "Weighted",
    "accumulator_interval",
    "channel_intervals",
    "check_inputs",
    "source_intervals",
    "weighted",
]
