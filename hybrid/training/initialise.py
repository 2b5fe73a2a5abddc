"""Data-dependent initialisation of spiking layers, so that none starts silent.

Layer by layer the weights are scaled until a given share of the potentials on a real batch lies above the
threshold: the layer-sequential scheme of Mishkin and Matas (ICLR 2016), with the firing rate in place of the
variance. Without it a deep spiking layer can start with no spikes, hence with hardly any gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybrid.model.stm import ConvLIF

FIRING_RATE = 0.15
"""Share of the potentials above the threshold at the start."""


@torch.no_grad()
def scale_to_firing_rate(model: nn.Module, *inputs: Tensor) -> None:
    """Scale the weights of every spiking layer of `model` in place; a read-out's to a standard deviation of 1.

    The model runs once on `inputs`, a real batch; each layer is scaled as the batch reaches it first.
    """
    waiting = {module for module in model.modules() if isinstance(module, ConvLIF)}

    def scale(layer: nn.Module, args: tuple[Any, ...]) -> None:
        if isinstance(layer, ConvLIF) and layer in waiting:
            waiting.remove(layer)
            layer.conv.weight.mul_(_factor(layer, args[0]))

    hooks = [layer.register_forward_pre_hook(scale) for layer in waiting]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()


def _factor(layer: ConvLIF, values: Tensor) -> Tensor:
    v = _potentials(layer, values)
    if layer.readout:
        return torch.as_tensor(1 / v[-1].std().clamp_min(1e-6))
    some = v.flatten()[torch.randperm(v.numel())[:1_000_000]]
    level = some.quantile(1 - FIRING_RATE).clamp_min(1e-6)
    return torch.as_tensor(layer.threshold / level)


def _potentials(layer: ConvLIF, values: Tensor) -> Tensor:
    """Potentials that never reset, [T, B, C, H, W]."""
    current = layer.current(values, layer.conv.weight)
    v = torch.zeros_like(current[:, 0])
    history = []
    for t in range(current.shape[1]):
        v = layer.keep * v + (1 - layer.keep) * current[:, t]
        history.append(v)
    return torch.stack(history)
