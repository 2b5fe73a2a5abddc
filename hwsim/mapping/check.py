"""Does a mapping belong to a network: every neuron on exactly one core."""

from __future__ import annotations

import numpy as np

from hwsim.mapping.geometry import shape3
from hwsim.mapping.model import Mapping, MappingError
from snn_export.network import SpikingNetwork

_FIX = "map this network again"


def check_mapping(network: SpikingNetwork, mapping: Mapping) -> None:
    """Refuse a mapping of another network.

    Raises:
        MappingError: naming the core that does not belong, or the layer that is not held exactly once.
    """
    held = {layer.name: np.zeros(shape3(layer.shape), np.int32) for layer in network.layers}
    for i, core in enumerate(mapping.cores):
        where = f"$.cores[{i}]"
        if core.id != i:
            raise MappingError(f"{where}.id", f"core {core.id} stands at place {i}", _FIX)
        if core.layer not in held:
            raise MappingError(f"{where}.layer", f"the network has no layer {core.layer!r}", _FIX)
        shape = held[core.layer].shape
        if not all(0 <= a < b <= size for (a, b), size in zip(core.block, shape, strict=True)):
            raise MappingError(where, f"block {core.block} is not inside {shape} of {core.layer!r}", _FIX)
        held[core.layer][tuple(slice(*span) for span in core.block)] += 1
    for name, count in held.items():
        if (count != 1).any():
            wrong = int((count != 1).sum())
            raise MappingError("$.cores", f"{wrong} neurons of {name!r} are not on exactly one core", _FIX)
