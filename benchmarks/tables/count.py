"""One counter for every model: parameters and multiply-accumulates on the meta device, where no weight has memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hybrid.model.stm import ConvLIF

SEEN = "convolutions, linear layers and matrix products (mm, addmm, bmm, baddbmm), attention's two products included"
"""What the counter sees. Normalisation, pooling, activations and additions are no multiply-accumulates to it."""

Shape = tuple[int, ...]
MATRICES = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear
"""Layers whose weights are a matrix, applied at every position."""


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
class Layer:
    """A convolution, linear or spiking layer in one run of its part, or all products that belong to none.

    Attributes:
        name: its path; empty for the products that belong to none, as attention's.
        macs: multiply-accumulates; of a spiking layer, if it were dense.
        weight_bytes: of its fp32 weights.
        matrix: outputs and fan-in of the matrix that it applies at every position; None where it is not one, as a
            grouped convolution.
        positions: where it applies it.
        values: that enter and leave.
        neuron: whether it spikes.
    """

    name: str
    macs: int
    weight_bytes: int = 0
    matrix: tuple[int, int] | None = None
    positions: int = 0
    values: int = 0
    neuron: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """What one run of a part costs.

    Attributes:
        parameters: of all its weights.
        macs: outside spiking layers.
        spiking_macs: inside spiking layers, if they were dense.
        overlooked: those of `macs` inside modules marked `Overlooked`.
        layers: each convolution, linear and spiking layer; what belongs to none comes last.
        spiking_layers: of leaky integrate-and-fire neurons.
    """

    parameters: int
    macs: int
    spiking_macs: int
    overlooked: int
    layers: tuple[Layer, ...]
    spiking_layers: int


class Overlooked(nn.Module):
    """Marks what a counter that hooks torch's modules does not see in the authors' code, so that it can be told."""


@cache
def count(part: Part) -> Counted:
    """Build a part on the meta device and run it once under torch's own counter."""
    with torch.device("meta"):
        module = part.build().eval()
        inputs = [torch.empty(shape) for shape in part.inputs]
    values = _watched(module)
    with torch.no_grad(), FlopCounterMode(module, display=False) as counter:
        module(*inputs)
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    root = type(module).__name__

    def inside(kind: type[nn.Module]) -> int:
        return sum(flops.get(f"{root}.{name}", 0) for name, m in module.named_modules() if isinstance(m, kind)) // 2

    neurons = {name: m for name, m in module.named_modules() if isinstance(m, ConvLIF)}
    layers = [
        Layer(name, flops.get(f"{root}.{name}", 0) // 2, _size(m.conv), neuron=True) for name, m in neurons.items()
    ]
    inner = {m.conv for m in neurons.values()}
    layers += [
        _layer(name, m, flops.get(f"{root}.{name}", 0) // 2, *values.get(m, (0, 0)))
        for name, m in module.named_modules()
        if isinstance(m, MATRICES) and m not in inner
    ]
    rest, spiking = counter.get_total_flops() // 2 - sum(layer.macs for layer in layers), inside(ConvLIF)
    return Counted(
        parameters=sum(p.numel() for p in module.parameters()),
        macs=counter.get_total_flops() // 2 - spiking,
        spiking_macs=spiking,
        overlooked=inside(Overlooked),
        layers=(*layers, Layer("", rest)),
        spiking_layers=len(neurons),
    )


def _watched(module: nn.Module) -> dict[nn.Module, tuple[int, int]]:
    """Values that enter and leave every layer, summed over its calls, once `module` has run."""
    found: dict[nn.Module, tuple[int, int]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        before = found.get(layer, (0, 0))
        found[layer] = before[0] + inputs[0].numel(), before[1] + output.numel()

    for layer in module.modules():
        if isinstance(layer, MATRICES):
            layer.register_forward_hook(note)
    return found


def _layer(name: str, module: nn.Module, macs: int, entering: int, leaving: int) -> Layer:
    weight = module.get_parameter("weight")
    grouped = getattr(module, "groups", 1) != 1
    matrix = None if grouped else (len(weight), weight[0].numel())
    return Layer(name, macs, _size(module), matrix, leaving // len(weight), entering + leaving)


def _size(module: nn.Module) -> int:
    return sum(4 * p.numel() for p in module.parameters())
