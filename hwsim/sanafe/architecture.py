"""A chip as SANA-FE's description of an architecture, with the chip's nominal constants.

Each tile gets host cores besides its own: cores at which every event is free, from which what the host sends
enters. A packet of the host thus costs its receiver what the chip says, and nothing else: no hop, no sender.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwsim.costs import KINDS, BarrierCosts
from hwsim.mapping.model import Mapping

NEURONS = 1024
"""Neurons that SANA-FE's models hold per core."""
SOMA, HOST_SOMA = "lif", "host"
SYNAPSE = tuple(f"synapse_{kind}" for kind in KINDS)
"""The unit that each kind of connection is processed by."""


def architecture(costs: BarrierCosts, mapping: Mapping, hosts: Sequence[int]) -> dict[str, Any]:
    """The whole mesh: all chips of a mapping side by side.

    Args:
        costs: constants of the chip.
        mapping: gives the mesh.
        hosts: number of input neurons that enter at each tile, tiles counted column by column.
    """
    core = _core("core", mapping.cores_per_tile, _priced_units(costs))
    tiles = []
    for number, neurons in enumerate(hosts):
        count = -(-neurons // NEURONS)
        free = [_core("host", count, _free_units(min(neurons, NEURONS)))] if count else []
        tiles.append({"name": f"tile{number}", "attributes": _hops(costs), "core": [core, *free]})
    mesh = {
        "topology": "mesh",
        "width": mapping.tiles_x * mapping.chips,
        "height": mapping.tiles_y,
        "link_buffer_size": 16,  # of its detailed timing, which is not used here
        "sync_model": "table",
        "latency_sync": {str(entry.tiles): entry.time.si.nominal for entry in costs.sync},
    }
    return {"architecture": {"name": mapping.chip, "attributes": mesh, "tile": tiles}}


def _hops(costs: BarrierCosts) -> dict[str, float]:
    ew, ns = costs.energy_hop_ew.si.nominal, costs.energy_hop_ns.si.nominal
    energies = {"east": ew, "west": ew, "north": ns, "south": ns}
    return {f"energy_{k}_hop": v for k, v in energies.items()} | {f"latency_{k}_hop": 0.0 for k in energies}


def _core(name: str, count: int, units: dict[str, Any]) -> dict[str, Any]:
    attributes = {"buffer_position": "soma", "buffer_inside_unit": False, "max_neurons_supported": NEURONS}
    return {"name": f"{name}[0..{count - 1}]", "attributes": attributes, **units}


def _priced_units(costs: BarrierCosts) -> dict[str, Any]:
    def both(constant: str, key: str) -> dict[str, float]:
        return {f"{name}_{key}": getattr(costs, f"{field}_{constant}").si.nominal for name, field in _DIMENSIONS}

    soma = both("neuron_update", "access_neuron") | both("neuron_active", "update_neuron") | both("spike", "spike_out")
    return {
        "axon_in": [{"name": "in", "attributes": both("packet_in", "message_in")}],
        "synapse": [_unit(name, "current_based", both(name, "process_spike")) for name in SYNAPSE],
        "dendrite": [_unit("dendrite", "accumulator", _zeros("update"))],
        "soma": [_unit(SOMA, "leaky_integrate_fire", soma)],
        "axon_out": [{"name": "out", "attributes": both("packet", "message_out")}],
    }


def _free_units(neurons: int) -> dict[str, Any]:
    soma = _zeros("access_neuron", "update_neuron", "spike_out")
    return {
        "axon_in": [{"name": "in", "attributes": _zeros("message_in")}],
        "synapse": [_unit("synapse", "current_based", _zeros("process_spike"))],
        "dendrite": [_unit("dendrite", "accumulator", _zeros("update"))],
        # a unit of its input model plays one spike train
        "soma": [_unit(f"{HOST_SOMA}[0..{neurons - 1}]", "input", soma)],
        "axon_out": [{"name": "out", "attributes": _zeros("message_out")}],
    }


_DIMENSIONS = (("energy", "energy"), ("latency", "time"))


def _zeros(*keys: str) -> dict[str, float]:
    return {f"{name}_{key}": 0.0 for name, _ in _DIMENSIONS for key in keys}


def _unit(name: str, model: str, attributes: dict[str, float]) -> dict[str, Any]:
    return {"name": name, "attributes": {"model": model, **attributes}}
