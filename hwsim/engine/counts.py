"""What a run did: spikes, synaptic operations, updates, packets and hops of every core, step and GOP.

Names follow NeuroBench (Yik et al. 2025): dense synaptic operations count all weights and inputs, effective
ones only nonzero weights that meet a nonzero input; they are multiply-accumulates (MACs) where the input is
graded and accumulates (ACs) where it is binary.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse

from hwsim.costs import KINDS
from hwsim.mapping.check import check_mapping
from hwsim.mapping.fanout import HOST, Fanout, dense_synops, fanouts
from hwsim.mapping.model import Mapping
from hwsim.mapping.routing import Link, route
from snn_export.network import IntArray, SpikingNetwork


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


class Counter:
    """Turns firing counts per atom into counts per core.

    Args:
        network: the network that was run.
        mapping: where its neurons are.

    Raises:
        MappingError: where the mapping is not of this network.
    """

    def __init__(self, network: SpikingNetwork, mapping: Mapping) -> None:
        check_mapping(network, mapping)
        self.fanouts = {fan.name: fan for fan in fanouts(network, mapping)}
        self._graded = {port.name for port in network.inputs if port.graded}
        self._ports = {port.name for port in network.inputs}
        self._dense = dense_synops(network, mapping).sum(1)
        sizes = [[b - a for a, b in core.block] for core in mapping.cores]
        self._neurons = np.prod(np.array(sizes), 1)
        tiles, chips = mapping.tiles, np.array([core.chip for core in mapping.cores])
        pairs = [fan.pairs[fan.pairs[:, 0] != HOST] for fan in self.fanouts.values()]
        self._pairs = np.concatenate(pairs)
        self._routes = route([(tiles[a], tiles[b]) for a, b in self._pairs])
        count = len(mapping.cores)
        self._senders = _incidence(self._pairs[:, 0], count)
        self._receivers = {name: _incidence(fan.pairs[:, 1], count) for name, fan in self.fanouts.items()}
        self._alike = {name: _alike(fan) for name, fan in self.fanouts.items()}
        self._between_chips = chips[self._pairs[:, 0]] != chips[self._pairs[:, 1]]

    def count(self, fired: MappingType[str, IntArray], active: MappingType[str, IntArray] | None) -> Counts:
        """Counts from the firing (nonzero) neurons of every atom, whole numbers [G, T, atoms] by name.

        `active` gives the active neurons of every layer in the same form, where they were counted.
        """
        gops, steps = next(iter(fired.values())).shape[:2]
        n, cores = gops * steps, len(self._neurons)
        flat = {name: _columns(x, n) for name, x in fired.items()}
        spikes, macs, received = (np.zeros((cores, n), np.int64) for _ in range(3))
        synops = np.zeros((len(KINDS), cores, n), np.int64)
        flows = []
        for name, fan in self.fanouts.items():
            for kind, fan_out in fan.synops.items():
                operations = fan_out @ flat[name]
                synops[kind] += operations
                if name in self._graded:
                    macs += operations
            alike = self._alike[name]
            events = alike.sums @ flat[name]
            spikes += alike.held @ events
            flow = alike.flows @ events
            received += self._receivers[name] @ flow
            if name not in self._ports:
                flows.append(flow)
        inside = np.concatenate(flows)
        sent, ew, ns = (
            sparse.csr_matrix(self._senders.multiply(hops)) @ inside
            for hops in (np.ones_like(self._routes.ew), self._routes.ew, self._routes.ns)
        )

        def shaped(x: IntArray) -> IntArray:
            return np.asarray(np.ascontiguousarray(x.T).reshape(gops, steps, *x.T.shape[1:]))

        return Counts(
            spikes=shaped(spikes),
            synops_by_kind=shaped(synops),
            macs=shaped(macs),
            synops_dense=np.broadcast_to(self._dense, (gops, steps, cores)),
            neuron_updates=np.broadcast_to(self._neurons, (gops, steps, cores)),
            active_updates=None if active is None else shaped(self._held(active, n)),
            packets_sent=shaped(sent),
            packets_received=shaped(received),
            hops_ew=shaped(ew),
            hops_ns=shaped(ns),
            input_events=shaped(np.sum([flat[p].sum(0) for p in sorted(self._ports)], 0)),
            interchip_packets=shaped(inside[self._between_chips].sum(0)),
            link_load=shaped(self._routes.incidence @ inside),
            links=self._routes.links,
        )

    def _held(self, active: MappingType[str, IntArray], n: int) -> IntArray:
        parts = [self.fanouts[name].held @ _columns(x, n) for name, x in active.items()]
        return np.asarray(np.sum(parts, 0))


def join(parts: Sequence[Counts]) -> Counts:
    """Counts of consecutive GOPs as one."""
    arrays = {}
    for field in fields(Counts):
        values = [getattr(part, field.name) for part in parts]
        one = field.name == "links" or values[0] is None
        arrays[field.name] = values[0] if one else np.concatenate(values)
    return Counts(**arrays)


@dataclass(frozen=True, slots=True, eq=False)
class _Alike:
    """Atoms on the same core that send to the same cores, as groups: spikes and packets do not tell them apart.

    Attributes:
        sums: adds up the atoms of each group, [groups, atoms].
        held: 1 where the core holds the group, [cores, groups].
        flows: 1 where a firing neuron sends that flow a packet, [pairs, groups].
    """

    sums: sparse.csr_matrix
    held: sparse.csr_matrix
    flows: sparse.csr_matrix


def _alike(fan: Fanout) -> _Alike:
    targets = fan.flows.tocsc()
    found: dict[tuple[int, bytes], int] = {}
    group = [
        found.setdefault((core, targets.indices[a:b].tobytes()), len(found))
        for core, a, b in zip(fan.owner.tolist(), targets.indptr[:-1], targets.indptr[1:], strict=True)
    ]
    firsts = np.unique(group, return_index=True)[1]
    return _Alike(_incidence(np.array(group, np.int64), len(found)), fan.held[:, firsts], fan.flows[:, firsts])


def _incidence(cores: IntArray, count: int) -> sparse.csr_matrix:
    """Sparse int64 [count, flows]: 1 where the flow belongs to the core."""
    flows = len(cores)
    return sparse.csr_matrix((np.ones(flows, np.int64), (cores, np.arange(flows))), (count, flows))


def _columns(counts: IntArray, n: int) -> IntArray:
    """Counts [G, T, atoms] as int64 [atoms, n]."""
    return np.ascontiguousarray(counts.reshape(n, -1).T, np.int64)
