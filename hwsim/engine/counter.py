"""From firing neurons to counts of every core and link."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hwsim.costs import KINDS
from hwsim.engine.counts import Counts
from hwsim.engine.lanes import WIDTH
from hwsim.engine.tallies import multiply, transpose
from hwsim.mapping.check import check_mapping
from hwsim.mapping.fanout import HOST, Fanout, dense_synops, fanouts
from hwsim.mapping.model import Mapping
from hwsim.mapping.routing import route
from snn_export.network import IntArray, SpikingNetwork


class Counter:
    """Turns firing counts per atom into counts per core, by three sparse products for all steps at once.

    Args:
        network: the network that was run.
        mapping: where its neurons are.

    Raises:
        MappingError: where the mapping is not of this network.
    """

    def __init__(self, network: SpikingNetwork, mapping: Mapping) -> None:
        check_mapping(network, mapping)
        found = fanouts(network, mapping)
        self.fanouts = {fan.name: fan for fan in found}
        self._dense = dense_synops(network, mapping).sum(1)
        self._neurons = np.prod(np.array([[b - a for a, b in core.block] for core in mapping.cores]), 1)
        pairs = np.concatenate([fan.pairs[fan.pairs[:, 0] != HOST] for fan in found])
        tiles = mapping.tiles
        routes = route([(tiles[a], tiles[b]) for a, b in pairs])
        self._links = routes.links
        neurons = np.concatenate([_neurons(fan) for fan in found])
        self._kind = _integer(neurons)
        alike = [_alike(fan) for fan in found]
        self._held = Stacked([_beside([fan.held for fan in found])], neurons)
        self._by_atom = Stacked([*_synops(network, found), sparse.block_diag([x.sums for x in alike])], neurons)
        self._by_group = Stacked(_group_matrices(network, found, alike), self._by_atom.parts(self._by_atom.most)[-1])
        chips = np.array([core.chip for core in mapping.cores])
        senders = _incidence(pairs[:, 0], len(chips))
        hops = [senders.multiply(x) for x in (routes.ew, routes.ns)]
        between = (chips[pairs[:, 0]] != chips[pairs[:, 1]])[None]
        flows = self._by_group.parts(self._by_group.most)[-1]
        self._by_flow = Stacked([senders, *hops, between, routes.incidence], flows)

    def zeros(self, gops: int, steps: int) -> dict[str, IntArray]:
        """For the counts of every atom [G, T, atoms] by name: small integers, which hold them all."""
        return {name: np.zeros((gops, steps, fan.owner.size), self._kind) for name, fan in self.fanouts.items()}

    def count(self, fired: MappingType[str, IntArray], active: MappingType[str, IntArray] | None) -> Counts:
        """Counts from the firing (nonzero) neurons of every atom, whole numbers [G, T, atoms] by name.

        `active` gives the active neurons of every layer in the same form, where they were counted.
        """
        gops, steps = next(iter(fired.values())).shape[:2]
        *synops, macs, groups = self._by_atom @ self._atoms(fired)
        spikes, received, entered, flows = self._by_group @ groups
        sent, ew, ns, between, links = self._by_flow @ flows

        def shaped(*parts: IntArray) -> IntArray:
            values = np.stack(parts)[..., : gops * steps]  # [parts, cores or links, G x T]
            whole = np.ascontiguousarray(values.T, np.int64).reshape(gops, steps, -1, len(parts))
            return whole if len(parts) > 1 else whole[..., 0]

        each = (gops, steps, len(self._neurons))
        return Counts(
            spikes=shaped(spikes),
            synops_by_kind=shaped(*synops),
            macs=shaped(macs),
            synops_dense=np.broadcast_to(self._dense, each),
            neuron_updates=np.broadcast_to(self._neurons, each),
            active_updates=None if active is None else shaped(*(self._held @ self._atoms(active))),
            packets_sent=shaped(sent),
            packets_received=shaped(received),
            hops_ew=shaped(ew),
            hops_ns=shaped(ns),
            input_events=shaped(entered)[..., 0],
            interchip_packets=shaped(between)[..., 0],
            link_load=shaped(links),
            links=self._links,
        )

    def _atoms(self, counts: MappingType[str, IntArray]) -> IntArray:
        """Counts [G, T, atoms] by name as [all atoms, G x T or more]; 0 for a population that has none."""
        gops, steps = next(iter(counts.values())).shape[:2]
        n = gops * steps
        atoms, begin = sum(fan.owner.size for fan in self.fanouts.values()), 0
        found: IntArray = np.empty((atoms, -(-n // WIDTH) * WIDTH), self._kind)
        for name, fan in self.fanouts.items():
            own = found[begin : begin + fan.owner.size]
            if name in counts:
                transpose(counts[name].reshape(n, -1), own)
            else:
                own[:] = 0
            begin += fan.owner.size
        return found


class Stacked:
    """Matrices one above the other: their products with counts are made as one, exactly, and then parted again.

    Args:
        parts: the matrices, integers of as many columns.
        most: what each count can be at most [columns].
    """

    def __init__(self, parts: Sequence[sparse.spmatrix | IntArray], most: IntArray) -> None:
        self._matrix = sparse.vstack([sparse.csr_matrix(part) for part in parts], "csr", np.int64)
        self._ends = np.cumsum([part.shape[0] for part in parts])[:-1]
        self.most: IntArray = self._matrix @ most
        """What each product can be at most."""
        self._values = self._matrix.data.astype(_integer(self._matrix.data))
        self._fits = bool(self.most.max(initial=0) < 2**31)

    def __matmul__(self, counts: IntArray) -> list[IntArray]:
        """One product per matrix, for counts [columns, n] with n a multiple of `lanes.WIDTH`."""
        matrix = self._matrix
        if not self._fits:
            return self.parts(matrix @ counts.astype(np.int64))
        found = np.empty((matrix.shape[0], counts.shape[1]), np.int32)
        small = np.ascontiguousarray(counts, np.int16 if counts.dtype == np.int16 else np.int32)
        multiply(matrix.indptr, matrix.indices, self._values, small, found)
        return self.parts(found)

    def parts(self, rows: IntArray) -> list[IntArray]:
        """Rows of a product by matrix."""
        return np.split(rows, self._ends)


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


def _integer(values: IntArray) -> type:
    """The smallest type of integers that `multiply` takes and that holds these, which are not negative."""
    return np.int16 if values.max(initial=0) < 2**15 else np.int32


def _neurons(fan: Fanout) -> IntArray:
    """How many neurons each atom has."""
    rows, columns = np.bincount(fan.rows), np.bincount(fan.columns)
    return np.repeat(np.outer(rows, columns).reshape(-1), fan.atoms[2])


def _synops(network: SpikingNetwork, found: Sequence[Fanout]) -> list[sparse.csr_matrix]:
    """Synaptic operations of each core by kind, and those of graded inputs, [cores, all atoms] each."""
    graded = {port.name for port in network.inputs if port.graded}
    nothing = [sparse.csr_matrix(fan.held.shape, dtype=np.int64) for fan in found]
    each = list(zip(found, nothing, strict=True))
    kinds = [_beside([fan.synops.get(kind, none) for fan, none in each]) for kind in range(len(KINDS))]
    return [*kinds, _beside([sum(fan.synops.values() if fan.name in graded else (), none) for fan, none in each])]


def _group_matrices(
    network: SpikingNetwork, found: Sequence[Fanout], alike: Sequence[_Alike]
) -> list[sparse.csr_matrix]:
    """Firing neurons and packets received by core, input events, and packets of each flow between cores."""
    ports, each = {port.name for port in network.inputs}, list(zip(found, alike, strict=True))
    received = [_incidence(fan.pairs[:, 1], x.held.shape[0]) @ x.flows for fan, x in each]
    entered = [np.full((1, x.held.shape[1]), fan.name in ports) for fan, x in each]
    flows = [x.flows[:0] if fan.name in ports else x.flows for fan, x in each]
    return [_beside([x.held for x in alike]), _beside(received), _beside(entered), sparse.block_diag(flows)]


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


def _beside(parts: Sequence[sparse.spmatrix | IntArray]) -> sparse.csr_matrix:
    """Matrices of as many rows, one beside the other."""
    return sparse.hstack([sparse.csr_matrix(part) for part in parts], "csr", np.int64)
