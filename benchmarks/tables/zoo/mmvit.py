"""MM-ViT: Chen and Ho, MM-ViT: Multi-Modal Video Transformer for Compressed Video Action Recognition, WACV 2022.

ViT-B/16 on eight I-frames, motion vectors and residuals; each block attends along time, in space, then from every
stream to the tokens of all streams of the same step (merged attention), then the perceptron.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.zoo.transformer import Attention, perceptron

STREAMS = {"I": 3, "motion": 2, "residual": 3}


class Block(nn.Module):
    """Three attentions and a perceptron on tokens [M, T, N, dim] of M streams."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(4))
        self.time, self.space, self.merged = (Attention(dim, heads) for _ in range(3))
        self.mlp = perceptron(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of the same shape."""
        streams, steps, places, dim = x.shape
        along = self.time(self.norms[0](x).transpose(1, 2).flatten(0, 1))
        x = x + along.view(streams, places, steps, dim).transpose(1, 2)
        x = x + self.space(self.norms[1](x).flatten(0, 1)).view(x.shape)
        merged = self.norms[2](x).transpose(0, 1)
        x = x + self.merged(merged.flatten(1, 2)).view(steps, streams, places, dim).transpose(0, 1)
        out: Tensor = x + self.mlp(self.norms[3](x))
        return out


class MMViT(nn.Module):
    """Twelve blocks over the tokens of all streams."""

    def __init__(self, steps: int, classes: int, dim: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Conv2d(channels, dim, 16, 16) for channels in STREAMS.values())
        self.position = nn.Parameter(torch.zeros(len(STREAMS), steps, 196, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)), nn.LayerNorm(dim))
        self.head = nn.Linear(len(STREAMS) * dim, classes)

    def forward(self, *streams: Tensor) -> Tensor:
        """Scores of one video: I-frames, motion and residuals [T, C, 224, 224]."""
        pairs = zip(self.embeddings, streams, strict=True)
        x = torch.stack([embed(frames).flatten(2).transpose(1, 2) for embed, frames in pairs])
        scores: Tensor = self.head(self.blocks(x + self.position).mean(dim=(1, 2)).flatten())
        return scores


VIDEO = Part("MM-ViT", lambda: MMViT(8, 101), tuple((8, channels, 224, 224) for channels in STREAMS.values()))

METHOD = Method(
    name="MM-ViT",
    source="Chen and Ho, WACV 2022",
    parts=(VIDEO,),
    protocol=Protocol("8 steps of three streams at 224, 8x3 views", 24, {VIDEO.name: 1}),
    filled_in="the variant with merged attention, without audio; where its class token stands is not stated",
)
