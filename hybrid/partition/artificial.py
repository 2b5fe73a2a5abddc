"""Artificial neurons on a chip: convolutions and linear layers on cores with an ANN mode (Tianjic).

A layer stands on a grid of crossbars: its fan-in is cut over the inputs of a core, its outputs over the neurons;
where the fan-in takes more than one core, further cores add up the partial sums. One output position (a pixel, a
token) goes through in one phase, so that a layer takes as many phases as it has positions (Pei et al. 2019 give the
crossbar and the phase; the sequence of positions is our reading). Weights and what enters have 8 bits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from hwsim.chip import Chip
from hwsim.costs import PhaseCosts
from hwsim.quantity import Range
from hybrid.graph import ModelGraph, Op

NOTHING = Range(0.0, 0.0, 0.0)
WIRING = ("pad", "reshape", "flatten", "permute", "transpose", "view")
"""Ops that only say which value goes where: routers do them."""


@dataclass(frozen=True, slots=True)
class ArtificialWork:
    """What a layer of artificial neurons takes.

    Attributes:
        cores: crossbars, those that add partial sums included.
        phases: positions, one after the other.
        energy: joules per GOP.
        time: seconds per GOP.
    """

    cores: int
    phases: int
    energy: Range
    time: Range


def artificial_work(op: Op, module: nn.Module | None, chip: Chip) -> ArtificialWork | None:
    """What an op would take in ANN mode; None where the chip has none, or the op is no such layer."""
    if isinstance(module, nn.Linear):
        return matrix_work(module.in_features, module.out_features, math.prod(op.shape[:-1]), chip)
    if isinstance(module, nn.Conv2d) and module.groups == 1:
        return matrix_work(module.weight[0].numel(), module.out_channels, math.prod(op.shape[1:]), chip)
    return None


def matrix_work(fan_in: int, outputs: int, positions: int, chip: Chip) -> ArtificialWork | None:
    """What a matrix [outputs, fan_in] takes that is applied at so many positions; None without an ANN mode."""
    costs, core = chip.costs, chip.core
    if core.ann_bits is None or core.inputs is None or not isinstance(costs, PhaseCosts):
        return None
    across, down = -(-outputs // core.neurons), -(-fan_in // core.inputs)
    cores = across * down + (across if down > 1 else 0)
    return ArtificialWork(
        cores, positions, costs.energy_core_phase.si * (cores * positions), costs.time_phase.si * positions
    )


def artificial_works(graph: ModelGraph, chip: Chip) -> dict[str, ArtificialWork]:
    """What every op would take that the chip can run in ANN mode, by name; wiring in front of them takes nothing."""
    modules = dict(graph.module.named_modules())
    found = {}
    for op in graph.ops.values():
        work = artificial_work(op, modules.get(op.name.partition("#")[0]), chip)
        if work is not None:
            found[op.name] = work
    for producer, consumer in reversed(graph.edges):
        if consumer in found and graph.ops[producer].kind in WIRING:
            found[producer] = ArtificialWork(0, 0, NOTHING, NOTHING)
    return found


@dataclass(frozen=True, slots=True)
class Effect:
    """What 8 bits do to the model's output on its calibration inputs.

    Attributes:
        bits: of weights and of what enters.
        samples: that were compared.
        changed: of them, those whose largest output is another one.
        largest: largest difference of an output, against the largest output.
    """

    bits: int
    samples: int
    changed: int
    largest: float


@torch.no_grad()
def effect(graph: ModelGraph, ops: Collection[str], inputs: Sequence[Tensor], chip: Chip) -> Effect | None:
    """Run the model with these ops in the integers of the chip's ANN mode, and compare with the model as it is.

    Weights are rounded per output channel, what enters per op, both to the largest magnitude (of the calibration
    inputs themselves).
    """
    bits = chip.core.ann_bits
    if bits is None or not ops:
        return None
    exact = graph.module(*inputs)
    rounded = _rounded(graph, ops, bits)(*inputs)
    changed = int((exact.argmax(-1) != rounded.argmax(-1)).sum())
    return Effect(bits, len(exact), changed, float((exact - rounded).abs().max() / exact.abs().max()))


def _rounded(graph: ModelGraph, ops: Collection[str], bits: int) -> fx.GraphModule:
    # a module that is called twice has one set of weights, and is in `ops` by each of its names
    program = copy.deepcopy(graph.module)
    modules = dict(program.named_modules())
    layers = (modules.get(name) for name in {op.partition("#")[0] for op in ops})
    for layer in (x for x in layers if isinstance(x, nn.Conv2d | nn.Linear)):
        layer.weight.data = _to_grid(layer.weight.data, bits, tuple(range(1, layer.weight.dim())))
        layer.register_forward_pre_hook(lambda _, values: (_to_grid(values[0], bits, None),))
    return program


def _to_grid(values: Tensor, bits: int, axes: tuple[int, ...] | None) -> Tensor:
    """The nearest of 2^bits - 1 levels, symmetric about 0, per slice that `axes` leave, or for all at once."""
    most = 2 ** (bits - 1) - 1
    peak = values.abs().amax() if axes is None else values.abs().amax(axes, keepdim=True)
    unit = (peak / most).clamp(min=torch.finfo(values.dtype).tiny)
    rounded: Tensor = (values / unit).round().clamp(-most, most) * unit
    return rounded
