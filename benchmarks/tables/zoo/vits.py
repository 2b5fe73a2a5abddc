"""ViViT-L FE and VideoMAE V2-g: plain vision transformers over clips.

ViViT: Arnab et al., ICCV 2021, section 3.3, model 2 (factorised encoder). VideoMAE V2: Wang et al., CVPR 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol
from benchmarks.tables.zoo.transformer import Block, ViT


class FactorisedEncoder(nn.Module):
    """A spatial ViT-L on every tubelet, then four temporal blocks over their class tokens."""

    def __init__(self, frames: int, side: int, classes: int) -> None:
        super().__init__()
        self.steps = frames // 2
        self.spatial = ViT(1024, 24, 16, 4096, frames=2, tubelet=2, side=side)
        self.position = nn.Parameter(torch.zeros(1, self.steps + 1, 1024))
        self.class_token = nn.Parameter(torch.zeros(1, 1, 1024))
        self.temporal = nn.Sequential(*(Block(1024, 16, 4096) for _ in range(4)), nn.LayerNorm(1024))
        self.head = nn.Linear(1024, classes)

    def forward(self, tubelets: Tensor) -> Tensor:
        """Scores of one clip as tubelets [T/2, 3, 2, side, side]."""
        steps = torch.cat((self.class_token, self.spatial(tubelets)[None]), dim=1)
        scores: Tensor = self.head(self.temporal(steps + self.position)[:, 0])
        return scores


def _vivit(name: str, frames: int, side: int) -> Part:
    return Part(name, lambda: FactorisedEncoder(frames, side, 400), ((frames // 2, 3, 2, side, side),))


VIVIT = Method(
    name="ViViT-L FE",
    source="Arnab et al., ICCV 2021, model 2",
    parts=(_vivit("128 frames", 128, 224), _vivit("32 frames", 32, 224), _vivit("32 frames at 320", 32, 320)),
    weights=("128 frames",),
    protocol=Protocol("128 frames at 224, 1x3 views as its authors state (3980 G a view)", 3, {"128 frames": 1}),
    others=(Protocol("32 frames at 224", 3, {"32 frames": 1}),
            Protocol("32 frames at 320", 3, {"32 frames at 320": 1})),
    stated_gmac=3980,
    rgb_frames=128,
)  # fmt: skip


def vit_g() -> ViT:
    """ViT-g of VideoMAE V2: patch 14, tubelets of 2, the mean of all tokens."""
    return ViT(1408, 40, 16, 6144, frames=16, tubelet=2, patch=14, class_token=False, classes=400)


VIDEOMAE = Method(
    name="VideoMAE V2-g",
    source="Wang et al., CVPR 2023",
    parts=(Part("ViT-g", vit_g, ((1, 3, 16, 224, 224),)),),
    protocol=Protocol("16 frames at 224, 5x3 views as its authors state (38.16 T in all)", 15, {"ViT-g": 1}),
    others=(Protocol("the 15 views counted twice: 38.16 T is already the sum over them", 225, {"ViT-g": 1}),),
    stated_gmac=2544,
    rgb_frames=80,
)
