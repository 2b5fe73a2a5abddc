"""Multi-modal mixer and RRDB: from folded token maps to one refined feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvFolding(nn.Module):
    """Overlapping convolutions with skips, each stream for itself: gives tokens back their neighbourhood."""

    def __init__(self, channels: int, streams: int, layers: int, *, skips: bool = True) -> None:
        super().__init__()
        self.skips = skips
        self.layers = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1, groups=streams) for _ in range(layers))
        self.activation = nn.GELU()

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, H, W]."""
        for layer in self.layers:
            folded = self.activation(layer(maps))
            maps = maps + folded if self.skips else folded
        return maps


class ConvFusion(nn.Module):
    """Fuse the high-level map with low-level maps after mixing their channels pointwise."""

    def __init__(self, high: int, low: int, out: int, places: int, grow: int = 1) -> None:
        """Build it.

        Args:
            high: channels of the high-level map.
            low: channels of the low-level maps.
            out: channels of the fused map.
            places: of the low-level maps per place of the high-level map, along a side.
            grow: the same of the fused map; one of the two divides the other.
        """
        super().__init__()
        self.pointwise = nn.Conv2d(low, out, 1)
        fits = (
            nn.AvgPool2d(places // grow, ceil_mode=True) if places >= grow else nn.Upsample(scale_factor=grow // places)
        )
        self.fit: nn.Module = fits
        self.grow = nn.Upsample(scale_factor=grow)
        self.fuse = nn.Conv2d(high + out, out, 3, padding=1)
        self.activation = nn.GELU()

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """High [B, high, h, w] and low [B, low, h * places, w * places] to [B, out, h * grow, w * grow]."""
        mixed = self.fit(self.activation(self.pointwise(low)))
        out: Tensor = self.activation(self.fuse(torch.cat([self.grow(high), mixed], dim=1)))
        return out


class PlainFusion(nn.Module):
    """The fusion's convolution without low-level maps."""

    def __init__(self, high: int, out: int, kernel: int, grow: int) -> None:
        super().__init__()
        self.grow = nn.Upsample(scale_factor=grow)
        self.fuse = nn.Conv2d(high, out, kernel, padding=kernel // 2)
        self.activation = nn.GELU()

    def forward(self, high: Tensor) -> Tensor:
        """[B, high, h, w] to [B, out, h * grow, w * grow]."""
        out: Tensor = self.activation(self.fuse(self.grow(high)))
        return out


class AttentionPool(nn.Module):
    """A learned class token that attends to all places of a map (class attention, Touvron et al., ICCV 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.empty(1, 1, channels))
        nn.init.normal_(self.token, std=0.02)
        self.norm = nn.LayerNorm(channels)
        self.key_value = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C]."""
        places = self.norm(maps.flatten(2).transpose(1, 2))
        key, value = self.key_value(places).chunk(2, dim=-1)
        query = self.token.expand(maps.shape[0], -1, -1)
        pooled = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = (self.token + self.out(pooled)).squeeze(1)
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
