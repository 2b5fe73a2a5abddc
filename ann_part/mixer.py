"""Multi-modal mixer and RRDB: from folded token maps to one refined feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvFolding(nn.Module):
    """Overlapping convolutions with skips, each stream for itself: gives tokens back their neighbourhood."""

    def __init__(self, channels: int, streams: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, groups=streams) for _ in range(layers))
        self.activation = nn.GELU()

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H, W]."""
        for layer in self.layers:
            maps = maps + self.activation(layer(maps))
        return maps


class ConvFusion(nn.Module):
    """Fuse the high-level map with the STM's low-level maps after mixing their channels pointwise."""

    def __init__(self, high: int, low: int, out: int, stride: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(low, out, 1)
        self.shrink = nn.AvgPool2d(stride, ceil_mode=True)
        self.fuse = nn.Conv2d(high + out, out, 3, padding=1)
        self.activation = nn.GELU()

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """High [B, high, h, w] and low [B, low, h * stride, w * stride] to [B, out, h, w]."""
        mixed = self.shrink(self.activation(self.pointwise(low)))
        out: Tensor = self.activation(self.fuse(torch.cat([high, mixed], dim=1)))
        return out


class ResidualDenseBlock(nn.Module):
    """Dense convolutions, each seeing all before it, with a scaled skip (ESRGAN, Wang et al. 2018)."""

    def __init__(self, channels: int, growth: int, layers: int = 5, scale: float = 0.2) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth if i < layers - 1 else channels, 3, padding=1)
            for i in range(layers)
        )
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H, W]."""
        seen = maps
        new = maps
        for i, layer in enumerate(self.layers):
            new = layer(seen)
            if i < len(self.layers) - 1:
                new = self.activation(new)
                seen = torch.cat([seen, new], dim=1)
        return maps + self.scale * new


class RRDB(nn.Module):
    """Residual in residual dense block: three dense blocks in a scaled skip (ESRGAN, Wang et al. 2018)."""

    def __init__(self, channels: int, growth: int, scale: float = 0.2) -> None:
        super().__init__()
        self.scale = scale
        self.blocks = nn.Sequential(*(ResidualDenseBlock(channels, growth) for _ in range(3)))

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H, W]."""
        out: Tensor = maps + self.scale * self.blocks(maps)
        return out
