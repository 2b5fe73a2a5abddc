"""The fused lowering: one ConvLIF process a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snn_export.lava.processes.clock import Clock
from snn_export.lava.processes.convlif import ConvLIF, Synapse
from snn_export.lava.processes.source import Source
from snn_export.lava.schedule import Timing
from snn_export.network import SpikingNetwork


def build(network: SpikingNetwork, folder: Path, steps: int) -> tuple[Clock, Timing]:
    """The Lava graph of `network`.

    Returns:
        The clock, which is connected to everything, and how many Lava steps a run takes.
    """
    clock = Clock(folder)
    shapes = network.shapes
    outs: dict[str, Any] = {
        port.name: Source(folder, i, port.shape, steps).s_out for i, port in enumerate(network.inputs)
    }
    for i, layer in enumerate(network.layers):
        first, *others = layer.connections
        process = ConvLIF(layer, shapes[first.source], steps, folder, i)
        outs[first.source].connect(process.s_in)
        for connection in others:
            synapse = Synapse(connection.synapse, shapes[connection.source])
            outs[connection.source].connect(synapse.s_in)
            synapse.a_out.connect(process.a_in)
        process.done.connect(clock.done)
        outs[layer.name] = process.s_out
    return clock, Timing(steps, 0)
