"""Who sends to whom: packets between cores in a step in which every neuron fires.

One packet per firing neuron and destination core, as the engine counts them, but whatever the values of the
weights. What comes from input ports enters from outside the mesh and has no place in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from hwsim.mapping.geometry import AXES, BoolArray, Reach, reaches
from hwsim.mapping.model import Core, Mapping, Span
from snn_export.network import IntArray, SpikingNetwork


def core_traffic(network: SpikingNetwork, mapping: Mapping) -> sparse.csr_matrix:
    """Packets from each core to each core, sparse int64 [senders, receivers]."""
    count = len(mapping.cores)
    held = {layer.name: [core for core in mapping.cores if core.layer == layer.name] for layer in network.layers}
    senders, receivers, packets = ([np.zeros(0, np.int64)] for _ in range(3))
    for layer in network.layers:
        targets = held[layer.name]
        for reach in reaches(network, layer):
            sources = held.get(reach.source, [])
            if not sources:
                continue
            row, column, shared = _shared(sources, targets, reach)
            senders.append(np.array([core.id for core in sources])[row])
            receivers.append(np.array([core.id for core in targets])[column])
            packets.append(shared)
    places = (np.concatenate(senders), np.concatenate(receivers))
    return sparse.csr_matrix((np.concatenate(packets), places), (count, count), dtype=np.int64)


def _shared(sources: Sequence[Core], targets: Sequence[Core], reach: Reach) -> tuple[IntArray, IntArray, IntArray]:
    """Pairs of a source and a target that reads from it, and how many neurons it reads."""
    meet = np.ones((len(sources), len(targets)), bool)
    axes = []
    for axis in AXES:
        spans, part = _distinct([core.block[axis] for core in sources])
        read_spans, read_part = _distinct([core.block[axis] for core in targets])
        held: BoolArray = np.zeros((len(spans), reach.axes[axis].shape[1]), bool)
        for i, span in enumerate(spans):
            held[i, slice(*span)] = True
        read = np.stack([reach.axes[axis][a:b].any(0) for a, b in read_spans])
        common = held.astype(np.int64) @ read.T.astype(np.int64)
        meet &= (common > 0)[np.ix_(part, read_part)]
        axes.append((common, part, read_part))
    row, column = np.nonzero(meet)
    shared = np.prod([common[part[row], read_part[column]] for common, part, read_part in axes], axis=0)
    return row, column, shared


def _distinct(spans: Sequence[Span]) -> tuple[list[Span], IntArray]:
    """The different spans, and which of them each one is."""
    number = {span: i for i, span in enumerate(dict.fromkeys(spans))}
    return list(number), np.array([number[span] for span in spans])
