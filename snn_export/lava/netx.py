"""The netx lowering: lava-dl's own network of each stream, from its netx file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lava.lib.dl.netx.blocks.process import Input
from lava.lib.dl.netx.hdf5 import Network

from snn_export.hdf5 import read_tree
from snn_export.lava import job
from snn_export.lava.processes.clock import Clock
from snn_export.lava.processes.probe import Probe
from snn_export.lava.processes.source import Source
from snn_export.lava.schedule import Timing
from snn_export.network import STATE_SHIFT, InputPort, Layer, SpikingNetwork
from snn_export.netx import streams


def build(network: SpikingNetwork, folder: Path, steps: int) -> tuple[Clock, Timing]:
    """The Lava graph of the netx files in `folder`, one for each stream of `network`; shapes are (W, H, C) in it.

    Returns:
        The clock, which is connected to everything, and how many Lava steps a run takes.
    """
    clock = Clock(folder)
    ports = [port.name for port in network.inputs]
    index = {layer.name: i for i, layer in enumerate(network.layers)}
    longest = 0
    for i, (name, stream) in enumerate(streams(network).items()):
        port = stream.inputs[0]
        # without an input neuron the first layer reacts one step after its input
        waits = not _begins_with_neuron(folder, i)
        net = Network(
            str(job.netx_path(folder, i)),
            input_message_bits=port.bits if port.graded else 0,
            input_shape=port.shape[::-1],
            reset_interval=steps,
            reset_offset=int(waits),
        )
        _feed(net, port, stream.layers[0], Source(folder, ports.index(name), port.shape, steps))
        for delay, (block, layer) in enumerate(zip(net.layers, stream.layers, strict=True), start=int(waits)):
            probe = Probe(folder, index[layer.name], layer.shape[::-1], steps, delay)
            probe.v.connect_var(block.neuron.v)
            block.neuron.s_out.connect(probe.s_in)
            probe.done.connect(clock.done)
            longest = max(longest, delay)
    return clock, Timing(steps, longest)


def _begins_with_neuron(folder: Path, stream: int) -> bool:
    first = read_tree(job.netx_path(folder, stream), "netx")["layer"]["0"]
    return first["type"][0] == "input" and "neuron" in first


def _feed(net: Network, port: InputPort, first: Layer, source: Source) -> None:
    """Connect the source, which sends (C, H, W), to the network."""
    into = net.inp
    if isinstance(net.in_layer, Input):
        # netx leaves it to the user to add the bias of an input layer to its values
        into = net.in_layer.neuron.a_in
        net.in_layer.neuron.bias_mant.init = int(first.neuron.bias[0]) >> STATE_SHIFT
    out: Any = source.s_out
    if len(port.shape) == 3 and len(into.shape) == 3:
        out = out.transpose([2, 1, 0])
    elif len(port.shape) == 3:
        out = out.flatten()
    out.connect(into)
