"""The whole model as plain torch, without a chip: what a GPU or a CPU alone would run.

The spiking part computes in float32 as it does in training: all steps of a connection in one convolution or product,
then the neurons step by step. Only the chip's rounding of the leak to whole numbers is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybrid.bundle import Bundle
from hybrid.model.inputs import INPUT_NAMES, chip_values, to_tensors
from hybrid.video.transform import Views
from snn_export.network import (
    DECAY_BITS,
    STATE_SHIFT,
    Connection,
    Conv2d,
    Dense,
    Layer,
    Reset,
    SpikingNetwork,
    weighted,
)


class PlainModel(nn.Module):
    """A bundle of the video model as one module, which takes what `plain_inputs` gives."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        names = bundle.manifest.host_inputs
        self._ports = [port.name for port in bundle.network.inputs]
        self._own = [name for name in names if name in INPUT_NAMES]
        self._names = names
        self.spiking = PlainNetwork(bundle.network)
        self.ann = bundle.ann

    def forward(self, *values: Tensor) -> Tensor:
        """Logits of every GOP [V, classes]."""
        ports, own = values[: len(self._ports)], values[len(self._ports) :]
        with torch.autocast(values[0].device.type, enabled=False):  # its sums need all bits of float32
            results = self.spiking(dict(zip(self._ports, ports, strict=True)))
        given = results | dict(zip(self._own, own, strict=True))
        logits: Tensor = self.ann(*(given[name] for name in self._names))
        return logits


def plain_inputs(bundle: Bundle, views: Views) -> tuple[Tensor, ...]:
    """The inputs of `PlainModel`, fp32: the chip's integers [V, T, ...], then the host's own inputs."""
    ports = chip_values(bundle.network, views).values()
    own = dict(zip(INPUT_NAMES, to_tensors(views, bundle.video_model().input), strict=True))
    host = [own[name] for name in bundle.manifest.host_inputs if name in own]
    return (*(torch.from_numpy(x.astype(np.float32)) for x in ports), *host)


class PlainNetwork(nn.Module):
    """A spiking network in float32."""

    def __init__(self, network: SpikingNetwork) -> None:
        super().__init__()
        self._layers = network.layers
        self.populations = nn.ModuleList(_Population(network, layer) for layer in network.layers)

    def forward(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each layer gives for the integers of each port [V, T, *shape].

        Returns:
            By layer: spikes [V, T, *shape], or of a read-out its last potential as a real number [V, *shape].
        """
        found = dict(values)
        for layer, population in zip(self._layers, self.populations, strict=True):
            found[layer.name] = population([found[c.source] for c in layer.connections])
        return {layer.name: found[layer.name] for layer in self._layers}


class _Population(nn.Module):
    def __init__(self, network: SpikingNetwork, layer: Layer) -> None:
        super().__init__()
        self._neuron = layer.neuron
        self.sums = nn.ModuleList(_Sum(c, network.shapes[c.source]) for c in layer.connections)
        unit, trailing = 2.0**STATE_SHIFT, (1,) * (len(layer.shape) - 1)
        constants = {
            "keep": layer.neuron.keep / 2**DECAY_BITS, "threshold": layer.neuron.vth, "bias": layer.neuron.bias / unit,
            "scale": layer.scale,
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(value.astype(np.float32)).reshape(-1, *trailing))

    def forward(self, sources: list[Tensor]) -> Tensor:
        neuron, (keep, threshold, bias) = self._neuron, (self.keep, self.threshold, self.bias)
        current = sum(add(values) for add, values in zip(self.sums, sources, strict=True))
        u = v = torch.zeros_like(current[:, 0])
        spikes = torch.empty_like(current)
        for t in range(current.shape[1]):
            if neuron.clears_before(t):
                u = v = torch.zeros_like(v)
            u = u * (neuron.ukeep / 2**DECAY_BITS) + current[:, t] if neuron.ukeep else current[:, t]
            v = v * keep + u + bias
            if neuron.readout:
                continue
            fired = v > threshold
            spikes[:, t] = fired
            if neuron.reset is Reset.SOFT:
                v = v - fired * threshold
            elif neuron.reset is Reset.ZERO:
                v = v.masked_fill(fired, 0)
        return v * self.scale if neuron.readout else spikes


class _Sum(nn.Module):
    """One connection at all steps: [V, T, *source] to [V, T, *target]."""

    def __init__(self, connection: Connection, source: tuple[int, ...]) -> None:
        super().__init__()
        synapse = weighted(connection.synapse, source)
        self._conv = synapse if isinstance(synapse, Conv2d) else None
        if isinstance(synapse, Conv2d | Dense):
            weight = synapse.weight.astype(np.float32)
        else:
            weight = np.zeros(synapse.size, np.float32)
            np.add.at(weight, (synapse.rows, synapse.columns), synapse.weight)
        self.register_buffer("weight", torch.from_numpy(weight))

    def forward(self, values: Tensor) -> Tensor:
        flat, weight, conv = values.flatten(0, 1), self.get_buffer("weight"), self._conv
        if conv is None:
            out = F.linear(flat.flatten(1), weight)
        else:
            out = F.conv2d(flat, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
        sums: Tensor = out.unflatten(0, values.shape[:2])
        return sums
