"""What a run did: spikes, synaptic operations, updates, packets and hops of every core, step and GOP.

Names follow NeuroBench (Yik et al. 2025): dense synaptic operations count all weights and inputs, effective
ones only nonzero weights that meet a nonzero input; they are multiply-accumulates (MACs) where the input is
graded and accumulates (ACs) where it is binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from hwsim.mapping.routing import Link
from snn_export.network import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Counts of a run, int64; K is the number of cores, in the order of `Mapping.cores`.

    Attributes:
        spikes: firing neurons [G, T, K].
        synops_by_kind: effective synaptic operations, on the receiving core, by the kind of their connection; kinds
            in the order of `hwsim.costs.KINDS` [G, T, K, kinds].
        macs: those of `synops` whose input is graded [G, T, K].
        synops_dense: synaptic operations if every weight and every input counted [G, T, K].
        neuron_updates: neurons held, each updated in each step [G, T, K].
        active_updates: neurons with state, bias or an incoming event [G, T, K]; None where not counted.
        packets_sent: one per firing neuron and destination core, the own core included [G, T, K].
        packets_received: those that arrive, packets from the host included [G, T, K].
        hops_ew: tiles crossed east or west by the packets that the core sent [G, T, K].
        hops_ns: tiles crossed north or south [G, T, K].
        input_events: nonzero input values [G, T].
        interchip_packets: packets between cores of different chips [G, T].
        link_load: packets over each directed link [G, T, links].
        links: the links that any packet can take.
    """

    spikes: IntArray
    synops_by_kind: IntArray
    macs: IntArray
    synops_dense: IntArray
    neuron_updates: IntArray
    active_updates: IntArray | None
    packets_sent: IntArray
    packets_received: IntArray
    hops_ew: IntArray
    hops_ns: IntArray
    input_events: IntArray
    interchip_packets: IntArray
    link_load: IntArray
    links: tuple[Link, ...]

    @property
    def synops(self) -> IntArray:
        """Effective synaptic operations of all kinds, on the receiving core [G, T, K]."""
        return np.asarray(self.synops_by_kind.sum(3))

    @property
    def acs(self) -> IntArray:
        """Effective accumulates: synaptic operations whose input is binary [G, T, K]."""
        return self.synops - self.macs

    @property
    def hops(self) -> IntArray:
        """Tiles crossed in either direction [G, T, K]."""
        return self.hops_ew + self.hops_ns


def join(parts: Sequence[Counts]) -> Counts:
    """Counts of consecutive GOPs as one."""
    arrays = {}
    for field in fields(Counts):
        values = [getattr(part, field.name) for part in parts]
        one = field.name == "links" or values[0] is None
        arrays[field.name] = values[0] if one else np.concatenate(values)
    return Counts(**arrays)
