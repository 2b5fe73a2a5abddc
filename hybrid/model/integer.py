"""A fixed-point network layer after layer, all steps of a layer at once: exact, and fast where launches are dear.

In a graph without delays a layer's steps need its sources' same steps only, so each layer's sums are one convolution
over all steps, and its neurons one scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from hwsim.engine.synapse import SynapseOp, exact_arithmetic, total
from hwsim.mapping.geometry import shape3
from hybrid.model.scan import integer_scan
from snn_export.network import IntArray, Layer, Recording, SpikingNetwork, check_inputs


class LayerByLayer:
    """A network made ready to run many times on a device.

    Raises:
        NetworkError: for a float network.
    """

    def __init__(self, network: SpikingNetwork, device: torch.device) -> None:
        network.require_fixed("running layer by layer")
        self._network, self._device = network, device
        shapes = network.shapes
        self._units = {
            x.name: torch.as_tensor(network.real_potentials(x.name, np.ones((1, *x.shape), np.int32)))
            .to(torch.float32).to(device)
            for x in network.layers if x.neuron.readout
        }  # fmt: skip
        self._ops = {x.name: [SynapseOp(c, shapes[c.source], device) for c in x.connections] for x in network.layers}

    def run(self, inputs: Mapping[str, IntArray]) -> Recording:
        """Every spike and potential from zero state, inputs being integers [G, T, *shape] by port.

        Raises:
            NetworkError: where an input does not fit its port.
        """
        spikes, potentials, saturations = {}, {}, {}
        for layer, fired, v, clipped in self._layers(inputs):
            spikes[layer.name], potentials[layer.name] = _back(fired.to(torch.uint8), layer), _back(v, layer)
            saturations[layer.name] = clipped
        return Recording(spikes, potentials, saturations)

    def readouts(self, inputs: Mapping[str, IntArray]) -> dict[str, Tensor]:
        """The read-out layers' potentials after the last step in real units, float32 [G, *shape] on the device."""
        return {
            layer.name: _turned(v[:, -1:], layer)[:, 0].float() * self._units[layer.name]
            for layer, _, v, _ in self._layers(inputs)
            if layer.neuron.readout
        }

    def _layers(self, inputs: Mapping[str, IntArray]) -> Iterator[tuple[Layer, Tensor, Tensor, int]]:
        gops, steps = check_inputs(self._network, inputs)
        with exact_arithmetic():
            values = {port.name: self._load(inputs[port.name]) for port in self._network.inputs}
            for layer in self._network.layers:
                sums = total(self._ops[layer.name], values).unflatten(0, (gops, steps)).contiguous()
                fired, v, clipped = integer_scan(sums, layer)
                values[layer.name] = fired.flatten(0, 1)
                yield layer, fired, v, clipped

    def _load(self, array: IntArray) -> Tensor:
        """Integers [G, T, *shape] as float32 [G * T, H, W, C]."""
        shaped = array.reshape(-1, *shape3(array.shape[2:])).transpose(0, 2, 3, 1)
        return torch.from_numpy(np.ascontiguousarray(shaped, np.float32)).to(self._device)


def _turned(values: Tensor, layer: Layer) -> Tensor:
    """[G, T, H, W, C] to [G, T, *shape]."""
    return values.permute(0, 1, 4, 2, 3).reshape(*values.shape[:2], *layer.shape)


def _back(values: Tensor, layer: Layer) -> IntArray:
    return np.asarray(_turned(values, layer).cpu())
