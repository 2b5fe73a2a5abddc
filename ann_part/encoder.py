"""The transformer over the tokens of all streams: one attention for all of them, or two sparser ones in turn."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kind = Literal["unified", "separate", "cross"]


class Attention(nn.Module):
    """Multi-head attention of a set of tokens to itself."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, dim] to [B, N, dim]."""
        n, dim = tokens.shape[1], tokens.shape[2]
        qkv = self.qkv(tokens).reshape(-1, n, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(-1, n, dim))
        return out


class StreamAttention(Attention):
    """The tokens of each stream attend to themselves."""

    def __init__(self, dim: int, heads: int, streams: int) -> None:
        super().__init__(dim, heads)
        self.streams = streams

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, streams * N, dim] to the same."""
        n, dim = tokens.shape[1] // self.streams, tokens.shape[2]
        return super().forward(tokens.reshape(-1, n, dim)).reshape(-1, self.streams * n, dim)


class PlaceAttention(Attention):
    """The tokens of all streams at one place attend to each other."""

    def __init__(self, dim: int, heads: int, streams: int) -> None:
        super().__init__(dim, heads)
        self.streams = streams

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, streams * N, dim] to the same."""
        n, dim = tokens.shape[1] // self.streams, tokens.shape[2]
        places = tokens.reshape(-1, self.streams, n, dim).transpose(1, 2).reshape(-1, self.streams, dim)
        mixed = super().forward(places).reshape(-1, n, self.streams, dim)
        return mixed.transpose(1, 2).reshape(-1, self.streams * n, dim)


class CrossAttention(nn.Module):
    """The tokens of each stream attend to those of all other streams; to its own where there is one only."""

    def __init__(self, dim: int, heads: int, streams: int) -> None:
        super().__init__()
        self.heads, self.streams = heads, streams
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        others = [[k for k in range(streams) if k != s] or [s] for s in range(streams)]
        self.register_buffer("others", torch.tensor(others), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, streams * N, dim] to the same."""
        n, dim = tokens.shape[1] // self.streams, tokens.shape[2]
        qkv = self.qkv(tokens).reshape(-1, self.streams, n, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)  # [B, streams, heads, N, dim / heads]
        mixed = F.scaled_dot_product_attention(query, self._gather(key), self._gather(value))
        out: Tensor = self.out(mixed.transpose(2, 3).reshape(-1, self.streams * n, dim))
        return out

    def _gather(self, values: Tensor) -> Tensor:
        """[B, streams, heads, N, d] to [B, streams, heads, others * N, d]."""
        return values[:, self.others].transpose(2, 3).flatten(3, 4)


class Block(nn.Module):
    """Pre-norm transformer block: one or two attentions, then the MLP."""

    def __init__(
        self, dim: int, heads: int, mlp_ratio: int, dropout: float, kind: Kind = "unified", streams: int = 1
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads) if kind == "unified" else StreamAttention(dim, heads, streams)
        self.second = None
        if kind != "unified":
            second = PlaceAttention if kind == "separate" else CrossAttention
            self.second = nn.Sequential(nn.LayerNorm(dim), second(dim, heads, streams))
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp_ratio * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp_ratio * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, streams * N, dim] to the same."""
        tokens = tokens + self.dropout(self.attention(self.norm1(tokens)))
        if self.second is not None:
            tokens = tokens + self.dropout(self.second(tokens))
        out: Tensor = tokens + self.dropout(self.mlp(self.norm2(tokens)))
        return out


class Encoder(nn.Module):
    """A stack of blocks and a last norm."""

    def __init__(
        self, dim: int, depth: int, heads: int, mlp_ratio: int, dropout: float, kind: Kind = "unified", streams: int = 1
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(dim, heads, mlp_ratio, dropout, kind, streams) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, streams * N, dim] to the same."""
        out: Tensor = self.norm(self.blocks(tokens))
        return out
