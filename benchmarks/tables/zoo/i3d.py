"""Inflated Inception: Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017, figure 3.

Widths are those of Inception-V1 (Szegedy et al., CVPR 2015, table 1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol

BLOCKS = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)  # fmt: skip
"""Per mixed block: 1x1; reduction and 3x3; reduction and second 3x3; behind the pooling."""


def unit(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution with batch normalisation and rectifier."""
    conv = nn.Conv3d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(width), nn.ReLU())


class Mixed(nn.Module):
    """An Inception block."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        a, b0, b, c0, c, d = widths
        self.branches = nn.ModuleList((
            unit(channels, a, 1),
            nn.Sequential(unit(channels, b0, 1), unit(b0, b, 3)),
            nn.Sequential(unit(channels, c0, 1), unit(c0, c, 3)),
            nn.Sequential(nn.MaxPool3d(3, 1, 1), unit(channels, d, 1)),
        ))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Maps of all branches, one after the other."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class I3D(nn.Module):
    """One stream."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            unit(channels, 64, 7, 2), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)), unit(64, 64, 1), unit(64, 192, 3),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ]  # fmt: skip
        width = 192
        for blocks, pool in zip(BLOCKS, (nn.MaxPool3d(3, 2, 1), nn.MaxPool3d(2, 2), None), strict=True):
            for widths in blocks:
                layers.append(Mixed(width, widths))
                width = widths[0] + widths[2] + widths[4] + widths[5]
            layers += [] if pool is None else [pool]
        self.features = nn.Sequential(*layers, nn.AvgPool3d((2, 7, 7), 1))
        self.logits = nn.Conv3d(width, classes, 1)

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of clips [B, channels, 64, 224, 224]."""
        scores: Tensor = self.logits(self.features(clip)).mean(dim=(2, 3, 4))
        return scores


RGB = Part("RGB", lambda: I3D(3, 174), ((1, 3, 64, 224, 224),))
FLOW = Part("flow", lambda: I3D(2, 174), ((1, 2, 64, 224, 224),))
_BOTH = {"RGB": 1, "flow": 1}

METHOD = Method(
    name="I3D",
    source="Carreira and Zisserman, CVPR 2017",
    parts=(RGB, FLOW),
    protocol=Protocol("both streams, 64 frames at 224, one view; computing the flow left out", 1, _BOTH),
    others=(
        Protocol("the same, a hundred times: a slip of two digits, as in the row of Video-FocalNet-B",
                 1, _BOTH, factor=100.0),
        Protocol("RGB alone, 10x3 views", 30, {"RGB": 1}),
    ),
    stated_gmac=216,
    rgb_frames=64,
)  # fmt: skip
