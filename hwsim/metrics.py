"""NeuroBench's metrics of a network and its run, under NeuroBench's names.

Definitions: Yik et al., "The neurobench framework for benchmarking neuromorphic computing algorithms and systems",
Nature Communications 16, 2025, and the metrics pages of NeuroBench's documentation (version 2.3), whose rules are
kept: biases are no synaptic operations, taps on padding are none either, and pooling counts in no metric. One
execution is one GOP, all its steps. Left to each tool, and decided here: what enters through a graded port is no
binary activation, whatever its values, and a population that never fires, a read-out, has no activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.engine.counts import Counts
from hwsim.mapping.model import Mapping
from snn_export.network import IntArray, Layer, Sparse, SpikingNetwork, SumPool2d, Weighted

CONSTANT_BYTES = 4
"""Bytes of one neuron constant, as our files store it."""


@dataclass(frozen=True, slots=True)
class SynapticOperations:
    """Synaptic operations per execution, the mean over all GOPs.

    Attributes:
        dense: all weights times all activations, zero or not.
        effective_macs: nonzero weights that meet a nonzero activation that is not binary.
        effective_acs: nonzero weights that meet a nonzero binary activation.
    """

    dense: float
    effective_macs: float
    effective_acs: float


@dataclass(frozen=True, slots=True)
class Metrics:
    """What NeuroBench would report of the network and this run.

    Attributes:
        footprint: bytes that represent the network: weights, zero ones included, the indices of synapse lists, and
            neuron constants (`keep`, `vth`, `bias`, `ukeep`); state is not counted.
        connection_sparsity: share of weights that are zero, 0 to 1; where a connection is a list of synapses, what
            it leaves out is zero.
        activation_sparsity: share of silent neurons, over all spiking layers, steps and GOPs, 0 to 1; 0 without
            a spiking layer.
        synaptic_operations: per execution.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    synaptic_operations: SynapticOperations


def metrics(network: SpikingNetwork, mapping: Mapping, counts: Counts) -> Metrics:
    """Measure a run.

    Args:
        network: of integers.
        mapping: where its neurons were.
        counts: what every core did. A layer that adds up pooling and weighted connections counts with both.
    """
    return Metrics(
        sum(_bytes(layer) for layer in network.layers),
        _connection_sparsity(network),
        _activation_sparsity(network, counts),
        _synaptic_operations(network, mapping, counts),
    )


def _bytes(layer: Layer) -> int:
    neuron, total = layer.neuron, 0
    for synapse in _weighted(layer):
        total += synapse.weight.nbytes
        if isinstance(synapse, Sparse):
            total += synapse.rows.nbytes + synapse.columns.nbytes
    return total + CONSTANT_BYTES * (neuron.keep.size + neuron.vth.size + neuron.bias.size + 1)


def _connection_sparsity(network: SpikingNetwork) -> float:
    weights = nonzero = 0
    for layer in network.layers:
        for synapse in _weighted(layer):
            weights += int(np.prod(synapse.size)) if isinstance(synapse, Sparse) else synapse.weight.size
            nonzero += int(np.count_nonzero(synapse.weight))
    return 1 - nonzero / weights if weights else 0.0


def _activation_sparsity(network: SpikingNetwork, counts: Counts) -> float:
    gops, steps = counts.spikes.shape[:2]
    neurons = sum(layer.size for layer in network.layers if not layer.neuron.readout)
    return 1 - int(counts.spikes.sum()) / (neurons * gops * steps) if neurons else 0.0


def _synaptic_operations(network: SpikingNetwork, mapping: Mapping, counts: Counts) -> SynapticOperations:
    pooling = {layer.name for layer in network.layers if not _weighted(layer)}
    cores = np.array([core.layer not in pooling for core in mapping.cores])

    def mean(array: IntArray) -> float:
        return int(array[:, :, cores].sum()) / len(array)

    return SynapticOperations(mean(counts.synops_dense), mean(counts.macs), mean(counts.acs))


def _weighted(layer: Layer) -> list[Weighted]:
    """The synapses that have weights of their own."""
    return [x.synapse for x in layer.connections if not isinstance(x.synapse, SumPool2d)]
