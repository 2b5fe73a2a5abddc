"""A spiking network from a file, as a model in which everything spikes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, fx, nn

from hybrid.graph.population import Population
from snn_export import reference
from snn_export.network import InputPort, Layer, SpikingNetwork


class NetworkLayer(nn.Module):
    """A layer of a network, run by the reference.

    Attributes:
        layer: of the network.
    """

    def __init__(self, network: SpikingNetwork, layer: Layer) -> None:
        super().__init__()
        ports = {port.name: port for port in network.inputs}
        self.names = tuple(dict.fromkeys(connection.source for connection in layer.connections))
        inputs = tuple(ports.get(name) or InputPort(name, network.shapes[name], 1) for name in self.names)
        self.layer, self._alone = layer, SpikingNetwork(inputs, (layer,), network.arithmetic)

    @property
    def emits_spikes(self) -> bool:
        """Whether it gives spikes, not potentials."""
        return not self.layer.neuron.readout

    def forward(self, *sources: Tensor) -> Tensor:
        """Spikes, or potentials in real units, [B, T, *shape]."""
        values = {}
        for port, source in zip(self._alone.inputs, sources, strict=True):
            array = source.detach().cpu().numpy()
            values[port.name] = array.astype(np.int64) if port.bits else array.astype(np.float64)
        recording = reference.run(self._alone, values)
        name = self.layer.name
        if self.emits_spikes:
            return torch.from_numpy(recording.spikes[name].astype(np.float32, order="C"))
        real = self._alone.real_potentials(name, recording.potentials[name])
        return torch.from_numpy(real.astype(np.float32, order="C"))


def network_program(network: SpikingNetwork) -> tuple[fx.GraphModule, dict[fx.Node, str], Mapping[str, Population]]:
    """The network as a program of one op per layer, the ops' names, and their populations.

    It gives its read-outs and the layers that feed no other one.
    """
    graph, targets = fx.Graph(), dict[str, nn.Module]()
    nodes: dict[str, fx.Node] = {}
    for i, port in enumerate(network.inputs):
        nodes[port.name] = graph.placeholder(f"input_{i}")
    for i, layer in enumerate(network.layers):
        module = NetworkLayer(network, layer)
        targets[f"layer_{i}"] = module
        nodes[layer.name] = graph.call_module(f"layer_{i}", tuple(nodes[name] for name in module.names))
    heard = {connection.source for layer in network.layers for connection in layer.connections}
    graph.output(tuple(nodes[layer.name] for layer in network.layers if layer.name not in heard))
    names = {node: name for name, node in nodes.items()}
    names |= {node: node.name for node in graph.nodes if node.op == "output"}
    populations = {layer.name: Population((layer,), fixed=network.fixed) for layer in network.layers}
    return fx.GraphModule(targets, graph, "Network"), names, populations
