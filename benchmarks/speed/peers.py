"""Published video models by torchvision, at the clip lengths and numbers of views of their papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torchvision
from torch import Tensor, nn

from ann_part.precision import Precision, precise
from benchmarks.speed.row import Row, Work, macs_of

VIDEO = torchvision.models.video


class CoViAR(nn.Module):
    """Three ResNets, one per stream, whose scores are added (Wu et al., CVPR 2018)."""

    def __init__(self, classes: int = 101) -> None:
        super().__init__()
        self.iframe = torchvision.models.resnet152(num_classes=classes)
        self.motion = torchvision.models.resnet18(num_classes=classes)
        self.motion.conv1 = nn.Conv2d(2, 64, 7, 2, 3, bias=False)
        self.residual = torchvision.models.resnet18(num_classes=classes)

    def forward(self, iframe: Tensor, motion: Tensor, residual: Tensor) -> Tensor:
        """Scores [B, classes]."""
        scores: Tensor = self.iframe(iframe) + self.motion(motion) + self.residual(residual)
        return scores


def _clip(frames: int, side: int) -> tuple[tuple[int, ...], ...]:
    return ((3, frames, side, side),)


PEERS: tuple[tuple[str, Callable[[], nn.Module], tuple[tuple[int, ...], ...], int], ...] = (
    ("CoViAR: ResNet-152 + 2 x ResNet-18", CoViAR, tuple((c, 224, 224) for c in (3, 2, 3)), 25),
    ("R(2+1)D-18", VIDEO.r2plus1d_18, _clip(16, 112), 10),
    ("S3D", VIDEO.s3d, _clip(64, 224), 30),
    ("MViTv2-S", VIDEO.mvit_v2_s, _clip(16, 224), 5),
    ("VideoSwin-B", VIDEO.swin3d_b, _clip(32, 224), 12),
)
"""Name, builder, shapes of a view's inputs, views of a video."""


def peers(device: torch.device, precisions: tuple[Precision, ...], batches: tuple[int, ...]) -> Iterator[Row]:
    """Rows of every peer, built when they are asked for; with random weights, which the arithmetic does not feel."""
    for name, build, shapes, views in PEERS:
        model = build().eval().to(device)
        gmac = macs_of(model, [torch.rand(1, *shape, device=device) for shape in shapes]) * views
        for precision in precisions:
            yield Row(f"{name}, {precision}", views, gmac, partial(_work, model, shapes, device, precision), batches)


def _work(
    model: nn.Module, shapes: tuple[tuple[int, ...], ...], device: torch.device, precision: Precision, batch: int
) -> Work:
    inputs = [torch.rand(batch, *shape, device=device) for shape in shapes]

    def work() -> Tensor:
        with precise(precision, device):
            return torch.as_tensor(model(*inputs))

    return work
