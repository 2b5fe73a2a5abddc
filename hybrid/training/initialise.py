"""Data-dependent initialisation of the STM, so that no layer starts silent.

Layer by layer the weights are scaled until a given share of the potentials on a real batch lies above the
threshold: the layer-sequential scheme of Mishkin and Matas (ICLR 2016), with the firing rate in place of the
variance. Without it a deep spiking layer can start with no spikes, hence with hardly any gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hybrid.model.stm import ConvLIF, SpikingTemporalModulator

FIRING_RATE = 0.15
"""Share of the potentials above the threshold at the start."""


@torch.no_grad()
def scale_to_firing_rate(stm: SpikingTemporalModulator, values: Tensor) -> None:
    """Scale the weights of every layer in place; the read-out's to a standard deviation of 1.

    Args:
        stm: the modulator.
        values: its input on a real batch, [B, T, C, H, W].
    """
    for layer in stm:
        if not isinstance(layer, ConvLIF):
            raise TypeError(f"{type(layer).__name__} in a spiking temporal modulator")
        if layer.readout:
            layer.conv.weight.mul_(1 / layer(values).std().clamp_min(1e-6))
            return
        v = _potentials(layer, values).flatten()
        level = v[torch.randperm(len(v))[:1_000_000]].quantile(1 - FIRING_RATE)
        layer.conv.weight.mul_(layer.threshold / level.clamp_min(1e-6))
        values = layer(values)


def _potentials(layer: ConvLIF, values: Tensor) -> Tensor:
    """Potentials that never reset, [T, B, C, H, W]."""
    current = layer.conv(values.flatten(0, 1)).unflatten(0, values.shape[:2])
    v = torch.zeros_like(current[:, 0])
    history = []
    for t in range(current.shape[1]):
        v = layer.keep * v + (1 - layer.keep) * current[:, t]
        history.append(v)
    return torch.stack(history)
