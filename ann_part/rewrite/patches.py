"""Patch embeddings as one product per patch size, straight into the sequence of tokens of all streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from ann_part.rewrite.graph import aten, calls, constant, put


class PatchTokens(nn.Module):
    """Non-overlapping patches of several streams to tokens; streams of equal patches are multiplied at once.

    Args:
        weights: [dim, C, p, p] of every stream.
        biases: [dim] of every stream.
        dtype: to multiply in.
    """

    def __init__(self, weights: list[Tensor], biases: list[Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype, self.sides = dtype, [w.shape[2] for w in weights]
        self.groups = [[i for i, w in enumerate(weights) if w.shape == shape] for shape in {w.shape for w in weights}]
        self.groups.sort()
        for k, group in enumerate(self.groups):
            flat = torch.stack([weights[i].detach().flatten(1).t() for i in group])
            self.register_buffer(f"weight_{k}", flat.to(dtype).contiguous())
        self.register_buffer("bias", torch.stack([b.detach() for b in biases])[:, None])

    def forward(self, *streams: Tensor) -> Tensor:
        """Maps [B, C, H, W] of every stream to tokens [B, streams * places, dim] in fp32."""
        found: list[Tensor] = [streams[0]] * len(streams)
        for k, group in enumerate(self.groups):
            rows = torch.stack([_rows(streams[i], self.sides[i]).to(self.dtype) for i in group])
            for i, product in zip(group, torch.bmm(rows, getattr(self, f"weight_{k}")), strict=True):
                found[i] = product
        tokens = torch.stack(found).float() + self.bias
        batch = len(streams[0])
        out: Tensor = tokens.view(len(streams), batch, -1, tokens.shape[-1]).transpose(0, 1).flatten(1, 2)
        return out


def _rows(maps: Tensor, side: int) -> Tensor:
    """[B, C, H, W] to [B * places, C * side * side]."""
    batch, channels, height, width = maps.shape
    patches = maps.view(batch, channels, height // side, side, width // side, side)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels * side * side)


def batched_patches(module: fx.GraphModule, dtype: torch.dtype) -> None:
    """Replace the embeddings of all streams, joined along the tokens."""
    for node in calls(module, aten.cat.default):
        parts: Any = node.args[0] if node.args[1:] == (1,) else []
        found = [_embedding(module, part) for part in parts]
        embeddings = [x for x in found if x is not None]
        if not found or len(embeddings) < len(found) or len({len(x.bias) for x in embeddings}) > 1:
            continue
        child = PatchTokens([x.weight for x in embeddings], [x.bias for x in embeddings], dtype)
        put(module, node, "patches", child, *(x.maps for x in embeddings))


@dataclass(frozen=True, slots=True, eq=False)
class _Embedding:
    maps: fx.Node
    weight: Tensor
    bias: Tensor


def _embedding(module: fx.GraphModule, tokens: Any) -> _Embedding | None:
    """The convolution by whole patches whose places, before its channels, `tokens` gives; None for anything else."""
    view = _argument(tokens, aten.transpose.int) if tokens.args[1:] == (1, 2) else None
    conv = _argument(view, aten.view.default)
    if view is None or conv is None or conv.target != aten.convolution.default:
        return None
    maps, weight, bias, stride, padding, dilation, transposed, _, groups = conv.args
    w, b = constant(module, weight), constant(module, bias)
    if w is None or b is None or transposed or groups != 1 or w.ndim != 4:
        return None
    side = w.shape[2]
    if (list(stride), list(padding), list(dilation), w.shape[3]) != ([side] * 2, [0, 0], [1, 1], side):
        return None
    height, width = maps.meta["val"].shape[2:]
    whole = height % side == width % side == 0
    flat = (len(w), (height // side) * (width // side))
    return _Embedding(maps, w, b) if whole and tuple(view.meta["val"].shape[1:]) == flat else None


def _argument(node: Any, target: Any) -> Any:
    """The first argument of a call of `target`; None for another node."""
    return node.args[0] if isinstance(node, fx.Node) and node.target == target else None
