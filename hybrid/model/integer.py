"""A fixed-point network layer after layer, all steps of a layer at once: exact, and fast where launches are dear.

In a graph without delays a layer's steps need its sources' same steps only, so each layer's sums are one convolution
over all steps, and its neurons one scan.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from hwsim.engine.synapse import SynapseOp, exact_arithmetic, total
from hwsim.mapping.geometry import shape3
from hybrid.model.scan import integer_scan
from snn_export.network import IntArray, Recording, SpikingNetwork, check_inputs


class LayerByLayer:
    """A network made ready to run many times on a device.

    Raises:
        NetworkError: for a float network.
    """

    def __init__(self, network: SpikingNetwork, device: torch.device) -> None:
        network.require_fixed("running layer by layer")
        self._network, self._device = network, device
        shapes = network.shapes
        self._ops = {x.name: [SynapseOp(c, shapes[c.source], device) for c in x.connections] for x in network.layers}

    def run(self, inputs: Mapping[str, IntArray]) -> Recording:
        """Every spike and potential from zero state, inputs being integers [G, T, *shape] by port.

        Raises:
            NetworkError: where an input does not fit its port.
        """
        gops, steps = check_inputs(self._network, inputs)
        spikes, potentials, saturations = {}, {}, {}
        with exact_arithmetic():
            values = {port.name: self._load(inputs[port.name]) for port in self._network.inputs}
            for layer in self._network.layers:
                sums = total(self._ops[layer.name], values).unflatten(0, (gops, steps)).contiguous()
                fired, v, saturations[layer.name] = integer_scan(sums, layer)
                values[layer.name] = fired.flatten(0, 1)
                spikes[layer.name] = _back(fired.to(torch.uint8), layer.shape)
                potentials[layer.name] = _back(v, layer.shape)
        return Recording(spikes, potentials, saturations)

    def _load(self, array: IntArray) -> Tensor:
        """Integers [G, T, *shape] as float32 [G * T, H, W, C]."""
        shaped = array.reshape(-1, *shape3(array.shape[2:])).transpose(0, 2, 3, 1)
        return torch.from_numpy(np.ascontiguousarray(shaped, np.float32)).to(self._device)


def _back(values: Tensor, shape: tuple[int, ...]) -> IntArray:
    """[G, T, H, W, C] to [G, T, *shape]."""
    return np.asarray(values.permute(0, 1, 4, 2, 3).reshape(*values.shape[:2], *shape).cpu())
