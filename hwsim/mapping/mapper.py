"""Map a network onto as many chips as it needs: tile, then place."""

from __future__ import annotations

from hwsim.chip import Chip
from hwsim.mapping.fit import check_weights
from hwsim.mapping.geometry import reaches
from hwsim.mapping.model import Core, Mapping, Resources
from hwsim.mapping.placement import place, sites
from hwsim.mapping.tiling import Block, Demand, Tiling, block_resources, tile
from snn_export.network import Dense, Sparse, SpikingNetwork


def map_network(network: SpikingNetwork, chip: Chip) -> Mapping:
    """Put every neuron of a network on exactly one core; the same input always gives the same mapping.

    A core holds a block of one layer. Layers are tiled from the last to the first, since what a core sends
    depends on how the layers it feeds are cut. More cores than a chip has are spread over several chips that
    stand side by side. Cores go where the slowest core or link is fastest, and then hops are few.

    Raises:
        DoesNotFit: where a neuron or a kernel of a layer is too large for any core.
        NetworkError: for a float network.
    """
    network.require_fixed("a chip")
    return place(network, chip, on_snake(network, chip))


def on_snake(network: SpikingNetwork, chip: Chip) -> Mapping:
    """The network cut into cores, which follow the snake through the tiles in the order of layers.

    Raises:
        DoesNotFit: where a neuron or a kernel of a layer is too large for any core.
    """
    reads = {layer.name: reaches(network, layer) for layer in network.layers}
    tilings: dict[str, Tiling] = {}
    demands: dict[str, Demand] = {}
    for layer in reversed(network.layers):
        check_weights(layer, chip)
        users = [(reach, tilings[n]) for n in tilings for reach in reads[n] if reach.source == layer.name]
        demands[layer.name] = Demand(layer, reads[layer.name], users, chip)
        tilings[layer.name] = tile(demands[layer.name])
    layers: list[str] = []
    blocks: list[Block] = []
    used: list[Resources] = []
    for layer in network.layers:
        tiling = tilings[layer.name]
        blocks += tiling.blocks
        layers += [layer.name] * len(tiling.blocks)
        used += block_resources(demands[layer.name], tiling)
    where = sites(len(blocks), chip.mesh)
    cores = tuple(
        Core(
            id=i,
            layer=layers[i],
            dense=isinstance(network.layer(layers[i]).connections[0].synapse, Dense | Sparse),
            channels=blocks[i][0],
            rows=blocks[i][1],
            columns=blocks[i][2],
            chip=int(where[i, 0]),
            x=int(where[i, 1]),
            y=int(where[i, 2]),
            slot=int(where[i, 3]),
            used=used[i],
        )
        for i in range(len(blocks))
    )
    limits = Resources(chip.core.neurons, chip.core.synapse_memory_bytes, chip.core.inputs, chip.core.outputs)
    mesh = chip.mesh
    chips = -(-len(cores) // mesh.cores)
    active = chip.costs.prices_activity
    return Mapping(chip.name, mesh.tiles_x, mesh.tiles_y, mesh.cores_per_tile, chips, limits, active, cores)
