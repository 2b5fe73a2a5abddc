"""VideoSwin-L: Liu et al., Video Swin Transformer, CVPR 2022, by torchvision, which has the class but not this size."""

from __future__ import annotations

from torch import nn
from torchvision.models.video.swin_transformer import SwinTransformer3d

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol


def video_swin_l() -> nn.Module:
    """Swin-L (384M) for Kinetics-400: patches 2x4x4, windows 8x12x12."""
    return SwinTransformer3d(
        patch_size=[2, 4, 4], embed_dim=192, depths=[2, 2, 18, 2], num_heads=[6, 12, 24, 48], window_size=[8, 12, 12],
        num_classes=400,
    )  # fmt: skip


METHOD = Method(
    name="VideoSwin-L",
    source="Liu et al., CVPR 2022 (torchvision's class)",
    parts=(Part("Swin-L", video_swin_l, ((1, 3, 32, 384, 384),)),),
    protocol=Protocol("32 frames at 384, 10x5 views as its authors state", 50, {"Swin-L": 1}),
    stated_gmac=2107,
    rgb_frames=320,
)
