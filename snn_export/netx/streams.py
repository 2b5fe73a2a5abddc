"""A network as the separate streams it is made of: netx has one file per stream."""

from __future__ import annotations

from snn_export.network import SpikingNetwork


def streams(network: SpikingNetwork) -> dict[str, SpikingNetwork]:
    """The parts of `network` that no synapse joins, by the name of their first input, in order."""
    group = {port.name: port.name for port in network.inputs}
    for layer in network.layers:
        joined = {group[connection.source] for connection in layer.connections}
        first = min(joined, key=list(group).index)
        group = {name: first if head in joined else head for name, head in group.items()} | {layer.name: first}
    return {
        head: SpikingNetwork(
            tuple(port for port in network.inputs if group[port.name] == head),
            tuple(layer for layer in network.layers if group[layer.name] == head),
            network.arithmetic,
        )
        for head in dict.fromkeys(group[layer.name] for layer in network.layers)
    }
