"""A network, its mapping and one GOP of input as plain data for SANA-FE."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from hwsim.chip import Chip, ChipError
from hwsim.costs import BarrierCosts
from hwsim.mapping.check import check_mapping
from hwsim.mapping.geometry import shape3
from hwsim.mapping.model import Mapping
from hwsim.quantity import FloatArray
from hwsim.sanafe.architecture import NEURONS, SOMA, SYNAPSE, architecture
from hwsim.sanafe.host import Host
from hwsim.sanafe.schedule import bias, changes, lags, neuron_attributes
from hwsim.sanafe.synapses import Synapses, synapses
from snn_export.network import IntArray, Layer, NetworkError, SpikingNetwork, check_inputs

SCHEMA = 2
"""Version of the data."""

Wire = tuple[str, Layer, Synapses]
"""Source, target layer, and the synapses of one connection."""


def export(
    network: SpikingNetwork,
    mapping: Mapping,
    chip: Chip,
    inputs: MappingType[str, IntArray],
    imposed: MappingType[str, IntArray] | None = None,
) -> dict[str, Any]:
    """Everything that SANA-FE needs, as data that `json` can write.

    Args:
        network: of integers.
        mapping: where its neurons are, at most 1024 on a core.
        chip: one whose steps end at a barrier; nominal constants are used, and no static power.
        inputs: port name to one GOP of integers [1, T, *shape].
        imposed: layer name to what each neuron does in each step [T, *shape]: 2 fires, 1 is active, 0 is idle.
            Without it SANA-FE computes the neurons itself, where it can (`schedule.lags`).

    Raises:
        ChipError: for a chip of fixed phases, or a core of more neurons than SANA-FE's models hold.
        NetworkError: for a float network, wrong input, or dynamics that SANA-FE does not have.
        MappingError: where the mapping is not of this network.
    """
    network.require_fixed("SANA-FE")
    check_mapping(network, mapping)
    gops, steps = check_inputs(network, inputs)
    if gops != 1:
        raise NetworkError("inputs", f"{gops} GOPs", "export one GOP at a time")
    costs = _costs(chip, mapping)
    values = {name: x[0].reshape(steps, -1).astype(np.int64) for name, x in inputs.items()}
    wires = [
        (c.source, layer, synapses(c.synapse, network.shapes[c.source], layer.shape))
        for layer in network.layers
        for c in layer.connections
    ]
    homes = {layer.name: _homes(layer, mapping) for layer in network.layers}
    host = _host(mapping, wires, homes, values)
    if imposed is None:
        drive = _drive(network, wires, values)
    else:
        drive = {x.name: _imposed(imposed, x, steps) for x in network.layers}
    graded = {port.name for port in network.inputs if port.graded}
    return {
        "schema": SCHEMA,
        "architecture": architecture(costs, mapping, host.counts.tolist()),
        "steps": steps,
        "inputs": host.inputs(values),
        "populations": [_population(x, homes[x.name], mapping, imposed is not None) for x in network.layers],
        "edges": [_edges(wire, mapping, homes, host, imposed is None and wire[0] not in graded) for wire in wires],
        "bias": changes(drive),
        "forget": imposed is not None,
    }


def _costs(chip: Chip, mapping: Mapping) -> BarrierCosts:
    if not isinstance(chip.costs, BarrierCosts):
        raise ChipError(chip.name, "it runs in phases of fixed length", "use a chip whose steps end at a barrier")
    for core in mapping.cores:
        neurons = int(np.prod([b - a for a, b in core.block]))
        if neurons > NEURONS:
            raise ChipError(
                f"core {core.id}", f"it holds {neurons} neurons, SANA-FE {NEURONS} at most", "map onto a smaller core"
            )
    return chip.costs


def _homes(layer: Layer, mapping: Mapping) -> IntArray:
    """The core that holds each neuron of a layer, int64 [N]."""
    home = np.zeros(shape3(layer.shape), np.int64)
    for core in mapping.cores:
        if core.layer == layer.name:
            home[tuple(slice(*span) for span in core.block)] = core.id
    return home.reshape(-1)


def tile_numbers(mapping: Mapping) -> list[int]:
    """The number of each core's tile in SANA-FE, which counts column by column."""
    return [x * mapping.tiles_y + y for x, y in mapping.tiles]


def _host(
    mapping: Mapping, wires: Sequence[Wire], homes: MappingType[str, IntArray], values: MappingType[str, IntArray]
) -> Host:
    tiles = np.array(tile_numbers(mapping))
    ends = {
        port: [(s.source, tiles[homes[layer.name][s.target]]) for source, layer, s in wires if source == port]
        for port in dict.fromkeys(source for source, _, _ in wires)
        if port in values
    }
    return Host(mapping.tiles_x * mapping.chips * mapping.tiles_y, mapping.cores_per_tile, ends)


def _drive(network: SpikingNetwork, wires: Sequence[Wire], values: MappingType[str, IntArray]) -> dict[str, FloatArray]:
    """The bias of every layer's neurons in every step, [T, N]."""
    graded, late = {port.name for port in network.inputs if port.graded}, lags(network)
    steps = len(next(iter(values.values())))
    current = {x.name: np.zeros((steps, x.size), np.int64) for x in network.layers}
    for source, layer, found in wires:
        if source in graded:
            matrix = sparse.csr_matrix(
                (found.weight, (found.target, found.source)), (layer.size, values[source].shape[1])
            )
            current[layer.name] += (matrix @ values[source].T).T
    return {x.name: bias(x, late[x.name], current[x.name]) for x in network.layers}


def _imposed(levels: MappingType[str, IntArray], layer: Layer, steps: int) -> FloatArray:
    """What every neuron of a layer is made to do, [T, N]."""
    expected = (steps, *layer.shape)
    array = levels.get(layer.name)
    if array is None or array.shape != expected or not np.isin(array, (0, 1, 2)).all():
        found = "nothing" if array is None else f"an array of shape {array.shape}"
        raise NetworkError(f"imposed[{layer.name}]", found, f"give 0, 1 or 2 in the shape {expected}")
    return array.reshape(steps, -1).astype(float)


def _population(layer: Layer, home: IntArray, mapping: Mapping, imposed: bool) -> dict[str, Any]:
    tiles, cores = np.array(tile_numbers(mapping)), mapping.cores
    return {
        "name": layer.name,
        "tile": tiles[home].tolist(),
        "core": [cores[k].slot for k in home],
        "soma": [SOMA] * layer.size,
        "attributes": neuron_attributes(layer, imposed),
    }


def _edges(
    wire: Wire, mapping: Mapping, homes: MappingType[str, IntArray], host: Host, weighted: bool
) -> dict[str, Any]:
    """The synapses of one connection; a weight of 0 still makes an operation there."""
    name, layer, found = wire
    source = found.source
    if name not in homes:
        source = host.copy(name, source, np.array(tile_numbers(mapping))[homes[layer.name][found.target]])
    weight = found.weight if weighted else np.zeros_like(found.weight)
    return {
        "source": name,
        "target": layer.name,
        "pairs": np.stack([source, found.target], 1).tolist(),
        "unit": SYNAPSE[found.kind],
        "weight": weight.tolist(),
    }
