"""Multiply-accumulates of an op, counted from its shapes."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from hybrid.graph.expression import Apply, Expression, Leaf
from hybrid.graph.network import NetworkLayer
from hybrid.graph.rolled import Rolled
from hybrid.model.stm import ConvLIF
from hybrid.model.temporal import ConvLSTM
from snn_export.network import SumPool2d, Synapse


def macs_of(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """MACs of one call for the whole batch; 0 for ops without products (element-wise, reshaping).

    Args:
        target: the module, or the function, that is called.
        args: its positional arguments.
        kwargs: its keyword arguments.
        result: what it returned.
    """
    if isinstance(target, ConvLIF):
        values: Tensor = args[0]
        currents = result.numel() * (values.shape[1] if target.readout else 1)
        return int(currents * target.conv.weight[0, : values.shape[2]].numel())
    if isinstance(target, Rolled):
        steps = int(args[0].shape[1])
        return steps * _macs_of_step(target.expression, [values[:, 0] for values in args])[1]
    if isinstance(target, NetworkLayer):
        neurons = math.prod(result.shape[:2]) * math.prod(target.layer.shape[1:])
        synapses = [c.synapse for c in target.layer.connections]
        return int(sum(neurons * _weights(x, target.layer.shape[0]) for x in synapses))
    if isinstance(target, ConvLSTM):
        gates = 4 * result.numel() * (args[0].shape[1] if target.readout else 1)
        return int(gates * (target.input.weight[0].numel() + target.hidden.weight[0].numel()))
    if isinstance(target, nn.Conv2d):
        return int(result.numel() * target.weight[0].numel())
    if isinstance(target, nn.Linear):
        return int(result.numel() * target.in_features)
    if target is F.scaled_dot_product_attention:
        query, key = (args[0], args[1]) if len(args) > 1 else (kwargs["query"], kwargs["key"])
        return int(2 * query.numel() * key.shape[-2])
    return 0


def _weights(synapse: Synapse, channels: int) -> float:
    """Weights of all channels that meet in one place."""
    if isinstance(synapse, SumPool2d):
        return channels * math.prod(synapse.kernel)
    return float(synapse.weight.size)


def _macs_of_step(expression: Expression, values: list[Tensor]) -> tuple[Tensor, int]:
    """What feeds a population in one step, and the MACs of that."""
    if isinstance(expression, Leaf):
        return values[expression.source], 0
    if isinstance(expression, Apply):
        below, macs = _macs_of_step(expression.below, values)
        result = expression.step.apply(below)
        return result, macs + macs_of(expression.step.apply, (below,), {}, result)
    (left, a), (right, b) = _macs_of_step(expression.left, values), _macs_of_step(expression.right, values)
    return left + right, a + b
