"""Map a network onto as many chips as it needs: tile, then place."""

from __future__ import annotations

from hwsim.chip import Chip
from hwsim.mapping.fit import check_weights
from hwsim.mapping.geometry import reaches
from hwsim.mapping.model import Core, Mapping, Resources
from hwsim.mapping.placement import place, sites
from hwsim.mapping.tiling import Block, Demand, Tiling, block_resources, tile
from snn_export.network import Layer, SpikingNetwork


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
    held = _blocks(network, chip)
    where = sites(len(held), chip.mesh).tolist()
    cores = tuple(
        Core(i, layer.name, *block, on_chip, x, y, slot, used)
        for i, ((layer, block, used), (on_chip, x, y, slot)) in enumerate(zip(held, where, strict=True))
    )
    limits = Resources(chip.core.neurons, chip.core.synapse_memory_bytes, chip.core.inputs, chip.core.outputs)
    mesh = chip.mesh
    chips = -(-len(cores) // mesh.cores)
    active = chip.costs.prices_activity
    return Mapping(chip.name, mesh.tiles_x, mesh.tiles_y, mesh.cores_per_tile, chips, limits, active, cores)


def _blocks(network: SpikingNetwork, chip: Chip) -> list[tuple[Layer, Block, Resources]]:
    """What each core holds, in the order of layers, and what that takes."""
    reads = {layer.name: reaches(network, layer) for layer in network.layers}
    tilings: dict[str, Tiling] = {}
    demands: dict[str, Demand] = {}
    for layer in reversed(network.layers):
        check_weights(layer, chip)
        users = [(reach, tilings[n]) for n in tilings for reach in reads[n] if reach.source == layer.name]
        demands[layer.name] = Demand(layer, reads[layer.name], users, chip)
        tilings[layer.name] = tile(demands[layer.name])
    return [
        (layer, block, used)
        for layer in network.layers
        for block, used in zip(
            tilings[layer.name].blocks, block_resources(demands[layer.name], tilings[layer.name]), strict=True
        )
    ]
