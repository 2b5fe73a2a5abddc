"""What crosses from the chip to the host: integers of the read-outs and spikes back to real numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hybrid.model.config import InputConfig
from hybrid.model.inputs import INPUT_NAMES, to_tensors
from hybrid.video.transform import Views
from snn_export.network import Recording, SpikingNetwork


def host_values(
    network: SpikingNetwork, recording: Recording, views: Views, config: InputConfig, names: Sequence[str]
) -> tuple[Tensor, ...]:
    """The inputs of the ANN program, in order.

    A read-out gives its potential after the last step, [V, C, H, W], in real units; a spiking layer its whole
    spike train [V, T, C, H, W].
    """
    own = dict(zip(INPUT_NAMES, to_tensors(views, config), strict=True))
    return tuple(own[name] if name in own else _from_chip(network, recording, name) for name in names)


def _from_chip(network: SpikingNetwork, recording: Recording, name: str) -> Tensor:
    layer = network.layer(name)
    if not layer.neuron.readout:
        return torch.from_numpy(recording.spikes[name].astype(np.float32, order="C"))
    last = network.real_potentials(name, recording.potentials[name][:, -1])
    return torch.from_numpy(last.astype(np.float32, order="C"))
