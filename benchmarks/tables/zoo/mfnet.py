"""MFNet-3D: Chen et al., Multi-Fiber Networks for Video Recognition, ECCV 2018, table 1 and figure 2.

MFCD-Net is such a network on partly decoded clips (Battash et al., Mimic the Raw Domain, CVPR Workshops 2020).
"""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol

FIBERS = 16
STAGES = ((3, 96), (4, 192), (6, 384), (3, 768))
"""Units and width of each stage."""


def _conv(channels: int, width: int, kernel: tuple[int, int, int], stride: tuple[int, int, int] = (1, 1, 1),
          groups: int = 1) -> nn.Sequential:  # fmt: skip
    padding = tuple(k // 2 for k in kernel)
    conv = nn.Conv3d(channels, width, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(nn.BatchNorm3d(channels), nn.ReLU(), conv)


class Unit(nn.Module):
    """A multi-fiber unit: the multiplexer (two 1x1x1) in front of two grouped convolutions, around them a skip."""

    def __init__(self, channels: int, width: int, stride: tuple[int, int, int], first: bool) -> None:
        super().__init__()
        one = (1, 1, 1)
        self.multiplexer = nn.Sequential(_conv(channels, width // 4, one), _conv(width // 4, channels, one))
        second = _conv(width, width, one) if first else _conv(width, width, (1, 3, 3), groups=FIBERS)
        self.fibers = nn.Sequential(_conv(channels, width, (3, 3, 3), stride, FIBERS), second)
        self.skip = _conv(channels, width, one, stride) if first else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps of the unit's width."""
        out: Tensor = self.fibers(x + self.multiplexer(x)) + self.skip(x)
        return out


class MFNet(nn.Module):
    """Multi-fiber network."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        width = 16
        layers: list[nn.Module] = [
            nn.Conv3d(3, width, (3, 5, 5), (1, 2, 2), (1, 2, 2), bias=False), nn.BatchNorm3d(width), nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        ]  # fmt: skip
        for i, (units, wider) in enumerate(STAGES):
            for k in range(units):
                stride = (1, 1, 1) if k else (2, 1, 1) if i == 0 else (1, 2, 2)
                layers.append(Unit(width, wider, stride, first=k == 0))
                width = wider
        self.features = nn.Sequential(*layers, nn.BatchNorm3d(width), nn.ReLU())
        self.classifier = nn.Linear(width, classes)

    def forward(self, clip: Tensor) -> Tensor:
        """Scores of clips [B, 3, T, 224, 224]."""
        scores: Tensor = self.classifier(self.features(clip).mean(dim=(2, 3, 4)))
        return scores


CLIP = Part("MFNet-3D", lambda: MFNet(101), ((1, 3, 12, 224, 224),))

METHOD = Method(
    name="MFCD-Net",
    source="Chen et al., ECCV 2018; Battash et al., CVPR Workshops 2020",
    parts=(CLIP,),
    protocol=Protocol("15 clips of 12 frames (the column's 12x15), 8.53 G each by its authors", 15, {"MFNet-3D": 1}),
    others=(Protocol("12x15 views", 180, {"MFNet-3D": 1}),),
    filled_in="MFNet-3D as it is; what the authors changed inside it is not public (the paper has 16 M parameters)",
    stated_gmac=8.53,
    gops=15,
)
