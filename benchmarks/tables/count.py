"""One counter for every model: parameters and multiply-accumulates on the meta device, where no weight has memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid.model.stm import ConvLIF

SEEN = "convolutions, linear layers and matrix products (mm, addmm, bmm, baddbmm), attention's two products included"
"""What the counter sees. Normalisation, pooling, activations and additions are no multiply-accumulates to it."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A network that a method runs, once or several times per view.

    Attributes:
        name: shown to the reader.
        build: makes it; called on the meta device.
        inputs: shapes of what it takes.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Counted:
    """What one run of a part costs.

    Attributes:
        parameters: of all its weights.
        macs: outside spiking layers.
        spiking_macs: inside spiking layers, if they were dense.
        overlooked: those of `macs` inside modules marked `Overlooked`.
        layers: of each convolution and linear layer, its multiply-accumulates and the bytes of its fp32 weights; what
            belongs to none, as attention's products, comes last, without weights.
        spiking_layers: of leaky integrate-and-fire neurons.
    """

    parameters: int
    macs: int
    spiking_macs: int
    overlooked: int
    layers: tuple[tuple[int, int], ...]
    spiking_layers: int


class Overlooked(nn.Module):
    """Marks what a counter that hooks torch's modules does not see in the authors' code, so that it can be told."""


@cache
def count(part: Part) -> Counted:
    """Build a part on the meta device and run it once under torch's own counter."""
    with torch.device("meta"):
        module = part.build().eval()
        inputs = [torch.empty(shape) for shape in part.inputs]
    with torch.no_grad(), FlopCounterMode(module, display=False) as counter:
        module(*inputs)
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    root = type(module).__name__

    def inside(kind: type[nn.Module]) -> int:
        return sum(flops.get(f"{root}.{name}", 0) for name, m in module.named_modules() if isinstance(m, kind)) // 2

    kinds = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear
    found = {name: m for name, m in module.named_modules() if isinstance(m, kinds)}
    layers = [
        (flops.get(f"{root}.{name}", 0) // 2, sum(4 * p.numel() for p in m.parameters())) for name, m in found.items()
    ]
    rest = counter.get_total_flops() // 2 - sum(macs for macs, _ in layers)
    spiking = inside(ConvLIF)
    return Counted(
        parameters=sum(p.numel() for p in module.parameters()),
        macs=counter.get_total_flops() // 2 - spiking,
        spiking_macs=spiking,
        overlooked=inside(Overlooked),
        layers=(*layers, (rest, 0)),
        spiking_layers=sum(isinstance(m, ConvLIF) for m in module.modules()),
    )
