"""Map spiking networks onto the cores of a chip: tile layers, place cores, route packets."""

from hwsim.mapping.fit import DoesNotFit
from hwsim.mapping.mapper import map_network
from hwsim.mapping.model import Core, Mapping, MappingError, Resources, from_json, to_json, utilization

__all__ = [
    "Core",
    "DoesNotFit",
    "Mapping",
    "MappingError",
    "Resources",
    "from_json",
    "map_network",
    "to_json",
    "utilization",
]
