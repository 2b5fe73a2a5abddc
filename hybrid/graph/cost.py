"""Multiply-accumulates of an op, per sample, counted from its shapes."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from hybrid.model.stm import ConvLIF


def macs_of(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> int:
    """MACs of one op for one sample of the batch; 0 for ops without products (element-wise, reshaping).

    Args:
        target: the module, or the function, that is called.
        args: its positional arguments, tensors with the batch first.
        kwargs: its keyword arguments.
        result: what it returned.
    """
    if isinstance(target, ConvLIF):
        values: Tensor = args[0]
        places = result.shape[-2] * result.shape[-1]
        return int(values.shape[1] * places * target.conv.weight.numel())
    if isinstance(target, nn.Conv2d):
        return int(result.shape[2] * result.shape[3] * target.weight.numel())
    if isinstance(target, nn.Linear):
        return int(result[0].numel() // target.out_features * target.weight.numel())
    if target is F.scaled_dot_product_attention:
        query, key = (args[0], args[1]) if len(args) > 1 else (kwargs["query"], kwargs["key"])
        return int(2 * query[0].numel() * key.shape[-2])
    return 0
