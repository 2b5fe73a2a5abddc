"""VidTr-L: Zhang et al., VidTr: Video Transformer Without Convolutions, ICCV 2021 (authors' code, vidtr_split.py).

ViT-B on 32 frames; every block attends along time, then in space with the same queries and keys. A row and a column of
class tokens stand before the places and before the frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tables.count import Overlooked, Part
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.zoo.transformer import attend, perceptron


class SeparableAttention(Overlooked):
    """Attention along time whose result is the value of attention in space; tokens [T, N, dim]."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.inward, self.out = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens of the same shape."""
        query, key, value = self.inward(x).chunk(3, dim=-1)
        along = attend(*(y.transpose(0, 1) for y in (query, key, value)), self.heads).transpose(0, 1)
        out: Tensor = self.out(attend(query, key, along, self.heads))
        return out


class Block(nn.Module):
    """Separable attention and perceptron, each with a skip."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), SeparableAttention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim), perceptron(dim, 4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [T, N, dim]."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class VidTr(nn.Module):
    """Twelve blocks over (T + 1) x (N + 1) tokens."""

    def __init__(self, frames: int, classes: int, dim: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.embedding = nn.Conv3d(3, dim, (1, 16, 16), (1, 16, 16))
        self.of_frames = nn.Parameter(torch.zeros(frames, 1, dim))
        self.of_places = nn.Parameter(torch.zeros(1, 197, dim))
        self.position = nn.Parameter(torch.zeros(frames + 1, 197, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads) for _ in range(depth)), nn.LayerNorm(dim))
        self.head = nn.Linear(dim, classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of one clip [1, 3, T, 224, 224]."""
        x = self.embedding(clip)[0].flatten(2).permute(1, 2, 0)
        x = torch.cat((self.of_places, torch.cat((self.of_frames, x), dim=1)))
        scores: Tensor = self.head(self.blocks(x + self.position)[0, 0])
        return scores


CLIP = Part("VidTr-L", lambda: VidTr(32, 101), ((1, 3, 32, 224, 224),))

METHOD = Method(
    name="VidTr",
    source="Zhang et al., ICCV 2021",
    parts=(CLIP,),
    protocol=Protocol("VidTr-L, 32 frames at 224, 10x3 views", 30, {CLIP.name: 1}),
    others=(Protocol("attention left out: the authors' code multiplies by bare weights there, which a counter that "
                     "hooks modules does not see", 30, {CLIP.name: 1}, all_seen=False),),
    stated_gmac=351,
    rgb_frames=320,
)  # fmt: skip
