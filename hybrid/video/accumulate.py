"""Back-tracing of motion vectors to the I-frame, without a loop over blocks.

The rule is CoViAR's (Wu et al., CVPR 2018), on integer displacements ``d = dst - src``: for every block
with a vector that is not zero, each pixel of it takes the trace of the pixel it points at in the previous
frame, provided that both lie inside the picture; every other pixel (intra block, zero vector, source
outside) keeps the trace at its own place.
"""

from __future__ import annotations

import numpy as np

from hybrid.video.gop import Array


def paint(vectors: Array, height: int, width: int) -> Array:
    """Displacement of every pixel of one frame, int16 [H, W, 2] (horizontal, vertical).

    Args:
        vectors: structured array with fields w, h, src_x, src_y, dst_x, dst_y; centres of blocks, in pixels.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        ``dst - src`` painted over each block; 0 where there is no block or its source lies outside.
    """
    motion = np.zeros((height * width, 2), np.int16)
    block_width, block_height = vectors["w"].astype(np.int64), vectors["h"].astype(np.int64)
    dx = vectors["dst_x"].astype(np.int64) - vectors["src_x"]
    dy = vectors["dst_y"].astype(np.int64) - vectors["src_y"]
    moving = (dx != 0) | (dy != 0)
    sizes = np.unique(np.stack([block_width[moving], block_height[moving]]), axis=1).T
    for w, h in sizes:
        chosen = moving & (block_width == w) & (block_height == h)
        x = vectors["dst_x"][chosen].astype(np.int64)[:, None, None] + np.arange(-(w // 2), -(w // 2) + w)
        y = vectors["dst_y"][chosen].astype(np.int64)[:, None, None] + np.arange(-(h // 2), -(h // 2) + h)[:, None]
        bx, by = dx[chosen][:, None, None], dy[chosen][:, None, None]
        inside = (x >= 0) & (x < width) & (x - bx >= 0) & (x - bx < width)
        inside = inside & (y >= 0) & (y < height) & (y - by >= 0) & (y - by < height)
        places = (y * width + x)[inside]
        motion[places, 0] = np.broadcast_to(bx, inside.shape)[inside]
        motion[places, 1] = np.broadcast_to(by, inside.shape)[inside]
    return motion.reshape(height, width, 2)


class Trace:
    """Where each pixel of the newest frame comes from in the I-frame.

    Attributes:
        places: int32 [H * W], flat index into the I-frame for every pixel.
    """

    def __init__(self, height: int, width: int) -> None:
        self._shape = (height, width)
        self._own = np.arange(height * width, dtype=np.int32)
        self.places = self._own

    def advance(self, motion: Array) -> None:
        """Go on by one P-frame whose painted displacements are `motion` [H, W, 2]."""
        flat = motion.reshape(-1, 2)
        source = self._own - flat[:, 1].astype(np.int32) * self._shape[1] - flat[:, 0]
        self.places = self.places.take(source)

    def motion(self) -> Array:
        """Accumulated motion int16 [H, W, 2]: own place minus traced place (horizontal, vertical)."""
        width = self._shape[1]
        own_y, own_x = np.divmod(self._own, width)
        y, x = np.divmod(self.places, width)
        motion: Array = np.stack([own_x - x, own_y - y], axis=1).astype(np.int16)
        return motion.reshape(*self._shape, 2)
