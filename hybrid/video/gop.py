"""One group of pictures in the compressed domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Gop:
    """An I-frame and the T P-frames that follow it.

    Attributes:
        iframe: uint8 [H, W, 3], RGB.
        motion: int16 [T, H, W, 2], horizontal then vertical, in 1 / `motion_scale` pixels. Accumulated: where
            pixel i of frame t stands minus where it comes from in the I-frame. Raw: the same against t - 1.
        residual: int16 [T, H, W, 3]: decoded frame minus the warped I-frame (accumulated) or minus the
            warped frame t - 1 (raw).
        times: float64 [T + 1], presentation time of each frame in seconds; NaN where the stream has none.
        index: number of the GOP in the file, from 0.
        accumulated: which of the two forms this is.
        motion_scale: units of `motion` per pixel; 1 for the integer vectors that models are trained on.
        exact: the vectors' references are known; False for what was traced approximately on request.
    """

    iframe: Array
    motion: Array
    residual: Array
    times: Array
    index: int
    accumulated: bool
    motion_scale: int = 1
    exact: bool = True

    @property
    def steps(self) -> int:
        """Number of P-frames T."""
        return int(self.motion.shape[0])

    def reconstruct(self) -> Array:
        """The decoded frames, uint8 [T, H, W, 3], from the I-frame, motion and residual alone.

        Raises:
            ValueError: for vectors finer than a pixel, which sample between pixels.
        """
        if self.motion_scale != 1:
            raise ValueError("frames are rebuilt from integer vectors; read the video with subpel=False")
        frames = [self.iframe.astype(np.int16)]
        for motion, residual in zip(self.motion, self.residual, strict=True):
            reference = frames[0] if self.accumulated else frames[-1]
            frames.append(warp(reference, motion) + residual)
        return np.stack(frames[1:]).astype(np.uint8) if self.steps else np.zeros((0, *self.iframe.shape), np.uint8)


def warp(frame: Array, motion: Array) -> Array:
    """Fetch each pixel from where `motion` [H, W, 2] says it comes from; the source lies inside the frame."""
    height, width = frame.shape[:2]
    rows, columns = np.indices((height, width), dtype=np.int32)
    return np.asarray(frame[rows - motion[..., 1], columns - motion[..., 0]])


def turn(gop: Gop, quarters: int) -> Gop:
    """Turn a GOP counter-clockwise by quarter turns; vectors turn with the picture."""
    motion = np.rot90(gop.motion, quarters, (1, 2))
    for _ in range(quarters % 4):
        motion = np.stack([motion[..., 1], -motion[..., 0]], axis=-1)
    return Gop(
        np.ascontiguousarray(np.rot90(gop.iframe, quarters)),
        np.ascontiguousarray(motion),
        np.ascontiguousarray(np.rot90(gop.residual, quarters, (1, 2))),
        gop.times, gop.index, gop.accumulated, gop.motion_scale, gop.exact,
    )  # fmt: skip
