"""Patches to tokens and back: the spatial modulator and token folding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PatchEmbedding(nn.Module):
    """Non-overlapping patches by a learned convolution; any resolution (padded up to whole patches)."""

    def __init__(self, channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.projection = nn.Conv2d(channels, dim, patch, patch)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to tokens [B, ceil(H / patch) * ceil(W / patch), dim]."""
        bottom, right = -maps.shape[2] % self.patch, -maps.shape[3] % self.patch
        tokens: Tensor = self.projection(F.pad(maps, (0, right, 0, bottom)))
        return tokens.flatten(2).transpose(1, 2)


class PositionalEncoding(nn.Module):
    """Learned place in space plus learned modality: tells each token where and in which stream it is."""

    def __init__(self, streams: int, grid: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.space = nn.Parameter(torch.empty(1, 1, grid[0] * grid[1], dim))
        self.stream = nn.Parameter(torch.empty(1, streams, 1, dim))
        for parameter in (self.space, self.stream):
            nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """Add the encodings to tokens [B, streams * grid, dim], stream after stream."""
        return tokens + (self.space + self.stream).flatten(1, 2)


def fold(tokens: Tensor, streams: int, grid: tuple[int, int]) -> Tensor:
    """Put tokens [B, streams * rows * columns, dim] to their places: [B, streams * dim, rows, columns]."""
    dim = tokens.shape[-1]
    maps = tokens.reshape(-1, streams, grid[0], grid[1], dim).permute(0, 1, 4, 2, 3)
    return maps.reshape(-1, streams * dim, grid[0], grid[1])
