"""ALT-L/14: Chen et al., Align before Adapt, CVPR 2024 (arXiv 2311.15619).

CLIP's ViT-L/14 (Radford et al., ICML 2021) on 32 frames whose tokens are merged layer by layer (Bolya et al., Token
Merging, ICLR 2023), and a video adapter whose queries are the text embeddings of the entities found.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.zoo.transformer import Attention, Block, ViT, perceptron

MERGED = 8
"""Tokens that every layer merges: ToMe's usual r for ViT-L, and what the published 1649 G a view ask for."""
WIDTH = 768
"""Of CLIP's joint space."""
TEXT_PARAMETERS = 123_650_304
"""CLIP's text transformer of ViT-L/14: 12 layers of width 768, 49408 words, 77 places. No view runs it."""


class MergingBlock(Block):
    """A block that merges its most similar tokens between attention and perceptron."""

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, N - MERGED, dim]."""
        x = merge(x + self.attention(self.norm1(x)))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def merge(x: Tensor) -> Tensor:
    """Average the `MERGED` pairs of most similar tokens, one of each pair at an even place, the other at an odd."""
    even, odd = x[:, ::2], x[:, 1::2]
    directions = nn.functional.normalize(x, dim=-1)
    best, partner = (directions[:, ::2] @ directions[:, 1::2].transpose(1, 2)).max(dim=-1)
    order = best.argsort(dim=-1, descending=True)[..., None].expand(-1, -1, x.shape[-1])
    partner = partner[..., None].expand(-1, -1, x.shape[-1])
    merged, kept = order[:, :MERGED], order[:, MERGED:]
    odd = odd.scatter_reduce(1, partner.gather(1, merged), even.gather(1, merged), "mean")
    return torch.cat((even.gather(1, kept), odd), dim=1)


class ALT(nn.Module):
    """Image encoder per frame, adapter over the regions of all frames."""

    def __init__(self, entities: int, classes: int) -> None:
        super().__init__()
        self.image = ViT(1024, 24, 16, 4096, patch=14)
        self.image.blocks = nn.Sequential(*(MergingBlock(1024, 16, 4096) for _ in range(24)))
        self.project = nn.Linear(1024, WIDTH, bias=False)
        self.queries = nn.Parameter(torch.zeros(1, entities, WIDTH))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.own, self.across = Attention(WIDTH, 12), Attention(WIDTH, 12)
        self.mlp = perceptron(WIDTH, 4 * WIDTH)
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Scores of one clip of frames [T, 3, 1, 224, 224]."""
        regions = self.image.norm(self.image.blocks(self.image.embed(frames)))
        regions = self.project(regions).flatten(0, 1)[None]
        x = self.queries + self.own(self.norms[0](self.queries))
        x = x + self.across(self.norms[1](x), regions)
        scores: Tensor = self.head((x + self.mlp(self.norms[2](x))).mean(1))
        return scores


CLIP = Part("ALT-L/14", lambda: ALT(64, 400), ((32, 3, 1, 224, 224),))

METHOD = Method(
    name="ALT-L/14",
    source="Chen et al., CVPR 2024 (arXiv 2311.15619)",
    parts=(CLIP,),
    protocol=Protocol("32 frames at 224, 3 views as its authors' 4947 G state", 3, {CLIP.name: 1}),
    others=(Protocol("32 views: the column's 32x1 are the frames of one view, which its 1649 G already hold",
                     32, {CLIP.name: 1}),),
    filled_in="depth of the adapter (one layer, by the published parameters), number of entities, tokens merged",
    extra_parameters=TEXT_PARAMETERS,
    stated_gmac=1649,
    rgb_frames=32,
)  # fmt: skip
