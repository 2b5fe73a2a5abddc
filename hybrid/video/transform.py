"""From GOPs to the arrays a model takes: resize, crop, and round to the integers a chip takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hybrid.video.gop import Array, Gop


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a model expects of its input.

    Attributes:
        resize: length of the short side after resizing, in pixels.
        crop: side of the square that is kept, in pixels.
        motion_bits: bits of a motion value, sign included.
        motion_range: displacement at full scale, in pixels of the resized picture.
        residual_bits: bits of a residual value, sign included.
        residual_range: residual at full scale, in grey levels.
    """

    resize: int
    crop: int
    motion_bits: int
    motion_range: float
    residual_bits: int
    residual_range: float


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Some GOPs of one video, ready for a model.

    Attributes:
        iframe: uint8 [V, 3, H, W].
        motion: int16 [V, T, 2, H, W], integers of `motion_bits`.
        residual: int16 [V, T, 3, H, W], integers of `residual_bits`.
    """

    iframe: Array
    motion: Array
    residual: Array


def to_views(gops: Sequence[Gop], sizes: Sizes, centre: int | None = None) -> Views:
    """Resize GOPs so that the short side is `sizes.resize`, and quantise; motion vectors scale with the picture.

    Args:
        gops: of one video.
        sizes: what the model expects.
        centre: keep only the square of this side in the middle, which is the same as `centre_crop` and takes less.
    """
    height, width = gops[0].iframe.shape[:2]
    scale = sizes.resize / min(height, width)
    size = (round(height * scale), round(width * scale))
    iframes, motions, residuals = [], [], []
    for gop in gops:
        iframe, motion, residual = (_resize(x, size, centre) for x in (gop.iframe[None], gop.motion, gop.residual))
        iframes.append(iframe.round_().clamp_(0, 255)[0].to(torch.uint8))
        motions.append(quantise(motion.mul_(scale), sizes.motion_bits, sizes.motion_range))
        residuals.append(quantise(residual, sizes.residual_bits, sizes.residual_range))
    stack = [np.stack([item.numpy() for item in items]) for items in (iframes, motions, residuals)]
    return Views(stack[0], stack[1], stack[2])


def centre_crop(views: Views, side: int) -> Views:
    """The square of `side` pixels in the middle."""
    height, width = views.iframe.shape[-2:]
    return crop(views, (height - side) // 2, (width - side) // 2, side)


def crop(views: Views, top: int, left: int, side: int) -> Views:
    """The square of `side` pixels whose upper left corner is at (top, left)."""
    here = (..., slice(top, top + side), slice(left, left + side))
    return Views(views.iframe[here], views.motion[here], views.residual[here])


def first_steps(views: Views, steps: int) -> Views:
    """The first `steps` P-frames of each GOP; accumulated or not, they need none of those after them."""
    return Views(views.iframe, views.motion[:, :steps], views.residual[:, :steps])


def flip(views: Views) -> Views:
    """Mirror left and right; the horizontal component of the motion changes its sign."""
    motion = views.motion[..., ::-1].copy()
    motion[:, :, 0] = -motion[:, :, 0]
    return Views(views.iframe[..., ::-1].copy(), motion, views.residual[..., ::-1].copy())


def quantise(values: Tensor, bits: int, full_scale: float) -> Tensor:
    """Round to signed integers of `bits`, symmetric, so that `full_scale` becomes the largest; clipped."""
    largest = 2 ** (bits - 1) - 1
    integers: Tensor = (values * (largest / full_scale)).round_().clamp_(-largest, largest)
    return integers.to(torch.int16)


def _resize(frames: Array, size: tuple[int, int], centre: int | None) -> Tensor:
    """Float32 [N, C, H, W] of frames [N, H, W, C]."""
    # planes that follow each other are resized to the same bits in half the time
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2).to(torch.float32).contiguous()
    resized: Tensor = F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
    if centre is None:
        return resized
    top, left = ((full - centre) // 2 for full in size)
    return resized[..., top : top + centre, left : left + centre]
