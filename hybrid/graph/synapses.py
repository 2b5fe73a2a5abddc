"""What may stand between two populations: linear torch operations, multiplied out into one synapse.

`snn_export.nir` does the arithmetic; here torch's operations are said as its nodes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from snn_export.network import IntArray, NetworkError
from snn_export.nir.graph import Node
from snn_export.nir.linear import Chain, extend

Extend = Callable[[Chain, bool], Chain]

LINEAR = (
    "Conv2d (zero padding), Linear, AvgPool2d, Flatten, BatchNorm1d and BatchNorm2d in evaluation, Dropout, Identity, "
    "sums, and factors"
)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One linear operation of one time step.

    Attributes:
        apply: the operation on values [B, ...].
        extend: the chain with it; the flag says whether its bias goes along.
    """

    apply: nn.Module
    extend: Extend


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        """The product."""
        return values * self.factor


def linear_step(node: fx.Node, module: nn.Module | None) -> tuple[Step, fx.Node] | None:
    """The linear operation of a node and what it acts on; None where it is none.

    Args:
        node: of a program whose nodes know their values.
        module: what it calls, where it calls a module.
    """
    if not node.all_input_nodes or not isinstance(node.meta.get("value"), Tensor):
        return None
    step = _of_module(module, node) if module is not None else _of_function(node)
    source = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else node.all_input_nodes[0]
    return None if step is None else (step, source)


def source_of(node: fx.Node) -> fx.Node:
    """The node that a node acts on: its first argument."""
    return cast(fx.Node, node.args[0])


def is_sum(node: fx.Node) -> tuple[fx.Node, fx.Node] | None:
    """The two terms of an addition of equal shapes."""
    named = node.target in (operator.add, operator.iadd, torch.add, "add")
    if not named or node.kwargs or len(node.args) != 2 or not all(isinstance(x, fx.Node) for x in node.args):
        return None
    left, right = node.args
    a, b = left.meta["value"], right.meta["value"]  # type: ignore[union-attr]
    both = isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape
    return (left, right) if both else None  # type: ignore[return-value]


def convolution(conv: nn.Conv2d) -> Step:
    """A convolution; where fewer channels arrive than it has, they meet its first weights."""

    def extended(chain: Chain, first: bool) -> Chain:
        weight = _numbers(conv.weight)
        weight = weight[:, : chain.shape[0]] if conv.groups == 1 else weight
        fields = {
            "weight": weight, "stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation,
            "groups": conv.groups, "bias": 0.0 if conv.bias is None else _numbers(conv.bias),
        }  # fmt: skip
        return _extend("Conv2d", fields, chain, first)

    return Step(conv, extended)


def flatten() -> Step:
    """All values of a step in a row."""
    return Step(nn.Flatten(1), lambda chain, first: _extend("Flatten", {}, chain, first))


def _of_module(module: nn.Module, node: fx.Node) -> Step | None:
    if type(module) is nn.Conv2d and module.padding_mode == "zeros":
        return convolution(module)
    if type(module) is nn.Linear and node.meta["value"].dim() == 2:
        return _dense(module)
    if type(module) is nn.AvgPool2d and not module.ceil_mode and module.divisor_override is None:
        sizes = (module.kernel_size, module.stride, module.padding)
        return _pool(module, *sizes) if module.count_include_pad or not np.any(module.padding) else None
    if type(module) is nn.Flatten and module.start_dim == 1 and module.end_dim in (-1, node.meta["value"].dim()):
        return flatten()
    if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d) and not module.training and module.running_mean is not None:
        return _norm(module)
    if type(module) in (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d) and not module.training:
        return Step(nn.Identity(), lambda chain, first: chain)
    return None


def _of_function(node: fx.Node) -> Step | None:
    target, args = node.target, node.args
    if target in (torch.flatten, "flatten", "view", "reshape", torch.reshape):
        return flatten() if _flattens(node) else None
    if target is F.avg_pool2d and len(args) <= 3 and set(node.kwargs) <= {"kernel_size", "stride", "padding"}:
        given = dict(zip(("kernel_size", "stride", "padding"), args[1:])) | dict(node.kwargs)  # noqa: B905 (may be fewer)
        kernel, padding = given["kernel_size"], given.get("padding", 0)
        stride = given.get("stride") or kernel
        if any(isinstance(x, fx.Node) for x in (kernel, stride, padding)):
            return None
        return _pool(nn.AvgPool2d(kernel, stride, padding), kernel, stride, padding)  # type: ignore[arg-type]
    return _of_arithmetic(node)


def _of_arithmetic(node: fx.Node) -> Step | None:
    target, args = node.target, node.args
    if target in (operator.neg, torch.neg, "neg"):
        return _scale(-1.0)
    if node.kwargs or len(args) != 2 or len(node.all_input_nodes) != 1:
        return None
    number = next((x for x in args if isinstance(x, (int, float)) and not isinstance(x, bool)), None)
    if number is None:
        return None
    if target in (operator.mul, torch.mul, "mul"):
        return _scale(float(number))
    divides = target in (operator.truediv, torch.div, "div") and number != 0 and isinstance(args[0], fx.Node)
    return _scale(1 / number) if divides else None


def _flattens(node: fx.Node) -> bool:
    """Whether it puts the values of each sample in a row, whatever it is written with."""
    before, after = node.args[0].meta["value"], node.meta["value"]  # type: ignore[union-attr]
    return bool(after.dim() == 2 and before.dim() >= 2 and after.shape[0] == before.shape[0])


def _dense(module: nn.Linear) -> Step:
    fields = {"weight": module.weight, "bias": module.bias}

    def extended(chain: Chain, first: bool) -> Chain:
        given = {name: _numbers(x) for name, x in fields.items() if x is not None}
        return _extend("Affine" if module.bias is not None else "Linear", given, chain, first)

    return Step(module, extended)


def _pool(module: nn.Module, kernel: Any, stride: Any, padding: Any) -> Step:
    fields = {"kernel_size": kernel, "stride": stride, "padding": padding}
    return Step(module, lambda chain, first: _extend("AvgPool2d", fields, chain, first))


def _scale(factor: float) -> Step:
    return Step(Scale(factor), lambda chain, first: _extend("Scale", {"scale": factor}, chain, first))


def _norm(module: Any) -> Step:
    """Batch normalisation with the statistics of the training: a gain and a bias per channel."""

    def extended(chain: Chain, first: bool) -> Chain:
        gain = 1 / np.sqrt(_numbers(module.running_var) + module.eps)
        shift = -_numbers(module.running_mean) * gain
        if module.affine:
            weight = _numbers(module.weight)
            gain, shift = gain * weight, shift * weight + _numbers(module.bias)
        if chain.flat and gain.size != chain.shape[0]:
            raise NetworkError(type(module).__name__, "it scales each value of a flattened map", "normalise before it")
        bias = chain.bias * gain
        return replace(chain, gain=chain.gain * gain, bias=bias + shift if first else bias)

    return Step(module, extended)


def _extend(op: str, fields: Mapping[str, Any], chain: Chain, first: bool) -> Chain:
    return extend(chain, Node(op, op, fields, op, ()), first)


def _numbers(tensor: Tensor) -> IntArray:
    return np.asarray(tensor.detach().cpu().double().numpy())
