"""Transformer blocks that the zoo's pages share, with products that the counter sees.

Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021. torch's own encoder has a fused path that no counter sees.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head attention of tokens [B, N, dim] to themselves or to others."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value, self.out = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor, others: Tensor | None = None) -> Tensor:
        """Tokens [B, N, dim]."""
        key, value = self.key_value(x if others is None else others).chunk(2, dim=-1)
        out: Tensor = self.out(attend(self.query(x), key, value, self.heads))
        return out


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Scaled dot-product attention [B, N, dim], by plain products."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    weights = torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def perceptron(dim: int, hidden: int) -> nn.Sequential:
    """The block's second half."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class Block(nn.Module):
    """Attention and perceptron, normalised before, each with a skip."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim), Attention(dim, heads)
        self.norm2, self.mlp = nn.LayerNorm(dim), perceptron(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [B, N, dim]."""
        x = x + self.attention(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class ViT(nn.Module):
    """A vision transformer over tubelets of a clip.

    Attributes:
        tokens: of one clip, the class token included.
    """

    def __init__(
        self, dim: int, depth: int, heads: int, hidden: int, *, frames: int = 1, side: int = 224, patch: int = 16,
        tubelet: int = 1, class_token: bool = True, classes: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        size = (tubelet, patch, patch)
        self.embedding = nn.Conv3d(3, dim, size, size)
        self.tokens = frames // tubelet * (side // patch) ** 2 + class_token
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim)) if class_token else None
        self.position = nn.Parameter(torch.zeros(1, self.tokens, dim))
        self.blocks = nn.Sequential(*(Block(dim, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes) if classes else nn.Identity()

    def forward(self, clip: Tensor) -> Tensor:
        """Scores, or features without classes, of clips [B, 3, T, side, side]."""
        x = self.norm(self.blocks(self.embed(clip)))
        out: Tensor = self.head(x[:, 0] if self.class_token is not None else x.mean(1))
        return out

    def embed(self, clip: Tensor) -> Tensor:
        """Tokens with their positions."""
        x = self.embedding(clip).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat((self.class_token.expand(len(x), -1, -1), x), dim=1)
        return x + self.position
