"""Our own ConvLIF: ``v' = keep v + (1 - keep) conv(s)`` over a whole sequence, its synapses inside."""

from __future__ import annotations

import numpy as np

from hybrid.graph.cells.kind import Kind, Law, Layout, Role
from hybrid.graph.synapses import Step, convolution
from hybrid.model.stm import ConvLIF
from snn_export.network import LIF, Reset


def conv_lif(cell: ConvLIF, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, with its convolution; the factor `1 - keep` goes into the weights."""
    keep = float(cell.keep)
    vth = np.array([float(cell.threshold)])
    neuron = LIF(np.array([keep]), vth, Reset(cell.reset), cell.readout, bias=np.zeros(1))
    return Law(neuron, np.array([1 - keep]))


def synapse(cell: ConvLIF) -> Step:
    """Its convolution."""
    return convolution(cell.conv)


KINDS = {
    f"{ConvLIF.__module__}.{ConvLIF.__qualname__}": Kind(
        "ConvLIF", Layout.BATCH_FIRST, "spikes", conv_lif, synapse=synapse
    )
}
