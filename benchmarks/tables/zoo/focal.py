"""Video-FocalNet-B: Wasim et al., Video-FocalNets, ICCV 2023; focal modulation: Yang et al., NeurIPS 2022.

Depths 2, 2, 18, 2 on widths 128 to 1024, two focal levels with kernels 3 and 5, eight frames at 224. Every frame is
modulated in space (depthwise) and along time (dense along the channels) side by side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.tables.count import Overlooked, Part
from benchmarks.tables.method import Method, Protocol

KERNELS = (3, 5)
"""One per focal level."""


class AlongTime(Overlooked):
    """A convolution over the frames of each place [P, C, T], dense in the channels."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, kernel, 1, kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the same shape."""
        out: Tensor = self.conv(x)
        return out


class Modulation(nn.Module):
    """Spatio-temporal focal modulation of tokens [T, H, W, C]."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        levels = len(KERNELS)
        self.space, self.time = nn.Linear(dim, 2 * dim + levels + 1), nn.Linear(dim, dim + levels + 1)
        self.focal_space = nn.ModuleList(nn.Conv2d(dim, dim, k, 1, k // 2, groups=dim, bias=False) for k in KERNELS)
        self.focal_time = nn.ModuleList(AlongTime(dim, k) for k in KERNELS)
        self.mix_space, self.mix_time = nn.Conv2d(dim, dim, 1), nn.Conv1d(dim, dim, 1)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Modulated tokens."""
        steps, rows, columns, dim = x.shape
        levels = len(KERNELS)
        query, context, gates = self.space(x).permute(0, 3, 1, 2).split((dim, dim, levels + 1), dim=1)
        space = self.mix_space(_gather(context, gates, self.focal_space))
        along = self.time(x).permute(1, 2, 3, 0).reshape(rows * columns, -1, steps)
        time = self.mix_time(_gather(*along.split((dim, levels + 1), dim=1), self.focal_time))
        time = time.reshape(rows, columns, dim, steps).permute(3, 2, 0, 1)
        done: Tensor = self.out((query * space * time).permute(0, 2, 3, 1))
        return done


def _gather(context: Tensor, gates: Tensor, focal: nn.ModuleList) -> Tensor:
    """Sum over the levels of ever wider contexts, each gated; the last level is the mean of all."""
    total = torch.zeros_like(context)
    for level, conv in enumerate(focal):
        context = F.gelu(conv(context))
        total = total + context * gates[:, level : level + 1]
    return (
        total + F.gelu(context.flatten(2).mean(2).view(*context.shape[:2], *[1] * (context.dim() - 2))) * gates[:, -1:]
    )


class Block(nn.Module):
    """Modulation and perceptron, each with a skip."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm1, self.modulation, self.norm2 = nn.LayerNorm(dim), Modulation(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [T, H, W, C] of the same shape."""
        x = x + self.modulation(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Embedding(nn.Module):
    """Patches by a convolution without overlap."""

    def __init__(self, channels: int, dim: int, patch: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(channels, dim, patch, patch), nn.LayerNorm(dim)

    def forward(self, maps: Tensor) -> Tensor:
        """Tokens [T, H, W, dim] of maps [T, C, H, W]."""
        out: Tensor = self.norm(self.conv(maps).permute(0, 2, 3, 1))
        return out


class VideoFocalNet(nn.Module):
    """Four stages over the frames of one clip."""

    def __init__(self, dim: int, depths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        stages, channels = [], 3
        for i, depth in enumerate(depths):
            blocks = (Block(dim << i) for _ in range(depth))
            stages.append(nn.Sequential(Embedding(channels, dim << i, 2 if i else 4), *blocks))
            channels = dim << i
        self.stages = nn.ModuleList(stages)
        self.norm, self.head = nn.LayerNorm(channels), nn.Linear(channels, classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Scores of a clip of frames [T, 3, 224, 224]."""
        for stage in self.stages:
            frames = stage(frames).permute(0, 3, 1, 2)
        scores: Tensor = self.head(self.norm(frames.permute(0, 2, 3, 1)).mean(dim=(0, 1, 2)))
        return scores


CLIP = Part("Video-FocalNet-B", lambda: VideoFocalNet(128, (2, 2, 18, 2), 400), ((8, 3, 224, 224),))

METHOD = Method(
    name="Video-FocalNet-B",
    source="Wasim et al., ICCV 2023",
    parts=(CLIP,),
    protocol=Protocol("8 frames at 224, 4x3 views as its authors state", 12, {CLIP.name: 1}),
    others=(
        Protocol("the authors' 149 G a view, a hundred times: a slip of two digits (149 G x 12 are 1.79 T)",
                 12, {CLIP.name: 1}, factor=100.0, stated_gmac=149),
        Protocol("the same, counted without the dense convolutions along time, which the authors' figure seems to lack",
                 12, {CLIP.name: 1}, factor=100.0, all_seen=False),
    ),
    stated_gmac=149,
    rgb_frames=32,
)  # fmt: skip
