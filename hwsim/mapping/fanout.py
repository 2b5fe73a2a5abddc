"""How much one firing neuron costs each core, as linear functions of firing counts.

Neurons of a population that differ only in row or column, and from which every core gets the same number of
synaptic operations, need not be told apart. Rows are sorted into classes that no block border, kernel place
or stride distinguishes, columns likewise; an *atom* is a (row class, column class, channel). A run counts the
firing neurons of each atom, and synaptic operations, spikes and packets follow by small sparse products.
Counts are exact, since the classes are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from hwsim.costs import KINDS
from hwsim.mapping.geometry import BoolArray, Shape3, channel_reach, shape3, taps
from hwsim.mapping.model import Core, Mapping, Span
from snn_export.network import Connection, Conv2d, Dense, IntArray, Layer, Sparse, SpikingNetwork, Synapse, weighted

HOST = -1
"""Source of packets that come from an input port."""


@dataclass(frozen=True, slots=True, eq=False)
class Fanout:
    """The classes of one port or layer, and what its atoms cost.

    Attributes:
        name: the port or layer.
        rows: class of each row, int [H].
        columns: class of each column, int [W].
        atoms: row classes, column classes, channels; an atom's number is its index in that shape, C order.
        owner: the core that holds each atom, or HOST; int [atoms].
        synops: synaptic operations per firing neuron by the kinds of connections that there are, each a sparse
            int64 [cores, atoms]; kinds are numbered as in `hwsim.costs.KINDS`.
        pairs: source core (or HOST) and destination core of each flow, int [pairs, 2].
        flows: 1 where a firing neuron sends that flow a packet, sparse int64 [pairs, atoms].
        held: 1 where the core holds the atom, sparse int64 [cores, atoms].
    """

    name: str
    rows: IntArray
    columns: IntArray
    atoms: tuple[int, int, int]
    owner: IntArray
    synops: dict[int, sparse.csr_matrix]
    pairs: IntArray
    flows: sparse.csr_matrix
    held: sparse.csr_matrix


def fanouts(network: SpikingNetwork, mapping: Mapping) -> tuple[Fanout, ...]:
    """The fan-out of every port and layer, in the network's order."""
    return tuple(_fanout(network, mapping, name) for name in network.shapes)


def dense_synops(network: SpikingNetwork, mapping: Mapping) -> IntArray:
    """Synaptic operations of each core and kind in a step where every weight and input counts, int64 [cores, kinds].

    Taps that fall on padding are no operations, nor are pairs of neurons that a sparse connection leaves out.
    """
    total = np.zeros((len(mapping.cores), len(KINDS)), np.int64)
    held = {layer.name: [core for core in mapping.cores if core.layer == layer.name] for layer in network.layers}
    for layer in network.layers:
        for connection in layer.connections:
            source = network.shapes[connection.source]
            synapse = weighted(connection.synapse, source)
            kind = kind_of(synapse)
            if isinstance(synapse, Conv2d):
                rows, columns = (found.sum((0, 2)) for found in _taps(synapse, layer, source))
            for core in held[layer.name]:
                channels = slice(*core.channels)
                if isinstance(synapse, Conv2d):
                    places = int(rows[slice(*core.rows)].sum()) * int(columns[slice(*core.columns)].sum())
                    total[core.id, kind] += len(synapse.weight[channels]) * synapse.weight.shape[1] * places
                elif isinstance(synapse, Dense):
                    total[core.id, kind] += synapse.weight[channels].size
                else:
                    total[core.id, kind] += np.count_nonzero(_within(synapse.rows, core.channels))
    return total


def _fanout(network: SpikingNetwork, mapping: Mapping, name: str) -> Fanout:
    channels = network.shapes[name][0]
    users = [(x, c) for x in network.layers for c in x.connections if c.source == name]
    own = [core for core in mapping.cores if core.layer == name]
    rows, columns = (_classes(network, mapping, name, axis, users, own) for axis in (0, 1))
    atoms = (int(rows.max()) + 1, int(columns.max()) + 1, channels)
    firsts = tuple(np.unique(classes, return_index=True)[1] for classes in (rows, columns))
    owner = np.full(atoms, HOST)
    for core in own:
        inside = [(f >= a) & (f < b) for f, (a, b) in zip(firsts, (core.rows, core.columns), strict=True)]
        owner[np.ix_(*inside, np.isin(np.arange(channels), range(*core.channels)))] = core.id
    owner = owner.reshape(-1)
    synops = _synops(network, mapping, name, users, (atoms, firsts))
    entries: sparse.coo_matrix = sum(synops.values(), sparse.csr_matrix((len(mapping.cores), owner.size))).tocoo()
    flow = np.stack([owner[entries.col], entries.row], 1).astype(np.int64)
    pairs, number = np.unique(flow, axis=0, return_inverse=True) if len(flow) else (flow, np.zeros(0, np.int64))
    held = np.flatnonzero(owner != HOST)
    return Fanout(
        name,
        rows,
        columns,
        atoms,
        owner,
        synops,
        pairs,
        _matrix(np.ones(len(flow)), number.reshape(-1), entries.col, (len(pairs), owner.size)),
        _matrix(np.ones(held.size), owner[held], held, (len(mapping.cores), owner.size)),
    )


def _classes(
    network: SpikingNetwork,
    mapping: Mapping,
    name: str,
    axis: int,
    users: list[tuple[Layer, Connection]],
    own: list[Core],
) -> IntArray:
    """Sort the places of a spatial axis into classes that no core tells apart, int [places]."""
    size = shape3(network.shapes[name])[1 + axis]
    places = np.arange(size)
    spans = {core.block[1 + axis] for core in own}
    features = [((places >= a) & (places < b))[None] for a, b in sorted(spans)]
    for layer, connection in users:
        synapse = weighted(connection.synapse, network.shapes[name])
        if not isinstance(synapse, Conv2d):
            return places  # a dense or sparse connection has a weight of its own for every place
        found = _taps(synapse, layer, network.shapes[name])[axis]
        for a, b in sorted({core.block[1 + axis] for core in mapping.cores if core.layer == layer.name}):
            features.append(found[:, a:b].any(1))
    if not features:
        return np.zeros(size, np.int64)
    return np.asarray(np.unique(np.concatenate(features), axis=1, return_inverse=True)[1]).reshape(-1)


def _synops(
    network: SpikingNetwork,
    mapping: Mapping,
    name: str,
    users: list[tuple[Layer, Connection]],
    classes: tuple[tuple[int, int, int], tuple[IntArray, ...]],
) -> dict[int, sparse.csr_matrix]:
    """Nonzero weights from a neuron of each atom into each core by kind of connection, sparse int64 [cores, atoms]."""
    atoms, firsts = classes
    numbers = np.arange(int(np.prod(atoms))).reshape(atoms)
    shape = (len(mapping.cores), numbers.size)
    found: dict[int, list[tuple[IntArray, IntArray, IntArray]]] = {}
    for layer, connection in users:
        held = [core for core in mapping.cores if core.layer == layer.name]
        synapse = weighted(connection.synapse, network.shapes[name])
        if isinstance(synapse, Conv2d):
            reached = _taps(synapse, layer, network.shapes[name])
            parts = _conv_fan(synapse, held, (reached[0][:, :, firsts[0]], reached[1][:, :, firsts[1]]))
        else:
            parts = _matrix_fan(synapse, held, shape3(network.shapes[name]))
        for core, (rows, columns, fan) in zip(held, parts, strict=True):
            at = np.nonzero(fan)
            triple = fan[at], np.full(at[0].size, core.id), numbers[np.ix_(rows, columns)][at]
            found.setdefault(kind_of(synapse), []).append(triple)
    result = {}
    for kind, triples in found.items():
        values, cores, places = (np.concatenate(part) for part in zip(*triples, strict=True))
        result[kind] = _matrix(values, cores, places, shape)
    return result


def kind_of(synapse: Synapse) -> int:
    """The kind of a connection, as numbered in `hwsim.costs.KINDS`."""
    if isinstance(synapse, Dense):
        return KINDS.index("dense")
    return KINDS.index("sparse" if isinstance(synapse, Sparse) else "conv")


def _conv_fan(
    synapse: Conv2d, cores: list[Core], found: tuple[BoolArray, BoolArray]
) -> list[tuple[IntArray, IntArray, IntArray]]:
    """Per core: the row and column classes it reads, and the fan-out [rows, columns, channels] from them."""
    nonzero = _spread_groups(synapse)
    read = [
        {span: _read(places, span) for span in {core.block[1 + axis] for core in cores}}
        for axis, places in enumerate(found)
    ]
    by_span = {span: nonzero[slice(*span)].sum(0) for span in {core.channels for core in cores}}
    by_rows = {  # [row classes, channels, kernel columns]
        (channels, rows): np.einsum("cij,ia->acj", by_span[channels], read[0][rows][1])
        for channels, rows in {(core.channels, core.rows) for core in cores}
    }
    parts = []
    for core in cores:
        columns, taken = read[1][core.columns]
        fan = (by_rows[core.channels, core.rows] @ taken).transpose(0, 2, 1)
        parts.append((read[0][core.rows][0], columns, fan))
    return parts


def _read(places: BoolArray, span: Span) -> tuple[IntArray, IntArray]:
    """The source classes that targets of a span read, and where through, int64 [kernel, those classes]."""
    reads = places[:, slice(*span)].any(1)
    classes = np.flatnonzero(reads.any(0))
    return classes, reads[:, classes].astype(np.int64)


def _spread_groups(synapse: Conv2d) -> IntArray:
    """Where weights are not zero, int64 [out channels, all in channels, kernel height, kernel width]."""
    full = np.tile(synapse.weight != 0, (1, synapse.groups, 1, 1))
    return np.asarray(full & channel_reach(synapse)[:, :, None, None], np.int64)


def _matrix_fan(
    synapse: Dense | Sparse, cores: list[Core], source: Shape3
) -> list[tuple[IntArray, IntArray, IntArray]]:
    channels, height, width = source
    parts = []
    for core in cores:
        fan = _column_counts(synapse, core.channels).reshape(channels, height, width).transpose(1, 2, 0)
        parts.append((np.arange(height), np.arange(width), fan))
    return parts


def _column_counts(synapse: Dense | Sparse, targets: Span) -> IntArray:
    """Nonzero weights from each source into the targets of a span, int64 [in features]."""
    if isinstance(synapse, Dense):
        return np.asarray((synapse.weight[slice(*targets)] != 0).sum(0, dtype=np.int64))
    counted = synapse.columns[_within(synapse.rows, targets) & (synapse.weight != 0)]
    return np.bincount(counted, minlength=synapse.size[1]).astype(np.int64)


def _within(places: IntArray, span: Span) -> BoolArray:
    return np.asarray((places >= span[0]) & (places < span[1]))


def _taps(synapse: Conv2d, layer: Layer, source: tuple[int, ...]) -> tuple[BoolArray, BoolArray]:
    """Bool [kernel, targets, sources] of rows and of columns of a convolution."""
    target, sizes = shape3(layer.shape), shape3(source)
    rows, columns = (taps(synapse, a, target[1 + a], sizes[1 + a]) for a in (0, 1))
    return rows, columns


def _matrix(values: IntArray, rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((values.astype(np.int64), (rows, columns)), shape, dtype=np.int64)
