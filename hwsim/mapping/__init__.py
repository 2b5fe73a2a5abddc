"""Map spiking networks onto the cores of a chip: tile layers, place cores, route packets, judge the result."""

from hwsim.mapping.fit import DoesNotFit
from hwsim.mapping.mapper import map_network
from hwsim.mapping.model import Core, Mapping, MappingError, Resources, from_json, to_json, utilization
from hwsim.mapping.objective import Objective
from hwsim.mapping.quality import Quality, assess

__all__ = [
    "Core",
    "DoesNotFit",
    "Mapping",
    "MappingError",
    "Objective",
    "Quality",
    "Resources",
    "assess",
    "from_json",
    "map_network",
    "to_json",
    "utilization",
]
