"""Convolutions with weights cast once and in channels-last memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from ann_part.rewrite.graph import aten, calls, constant, put


class TypedConvolution(nn.Module):
    """A convolution that computes in one type and gives channels-last maps.

    Args:
        weight: as torch's.
        bias: or none.
        dtype: to multiply in; the result has it too.
        geometry: stride, padding, dilation and groups.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, geometry: tuple[Any, ...]) -> None:
        super().__init__()
        self.dtype, self.geometry = dtype, geometry
        whole = weight.detach().to(dtype)
        ordered = whole.contiguous(memory_format=torch.channels_last) if _plain(weight) else whole
        self.register_buffer("weight", ordered)
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype))

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, O, H', W']."""
        maps = maps.to(self.dtype)
        if _plain(self.weight) and min(maps.shape[1:]) > 1:
            maps = maps.contiguous(memory_format=torch.channels_last)
        return torch.conv2d(maps, self.weight, self.bias, *self.geometry)


def _plain(weight: Tensor) -> bool:
    """Whether channels-last memory is told apart from the usual one: torch 2.3 errs where a size is 1."""
    return weight.ndim == 4 and min(weight.shape) > 1


def typed_convolutions(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Replace every convolution with constant weights."""
    for node in calls(module, aten.convolution.default):
        x, weight, bias, stride, padding, dilation, transposed, _, groups = node.args
        w, b = constant(module, weight), constant(module, bias)
        if w is None or w.ndim != 4 or transposed or (bias is not None and b is None):
            continue
        put(module, node, "conv", TypedConvolution(w, b, dtype, (stride, padding, dilation, groups)), x)
