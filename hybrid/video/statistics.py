"""What a compressed video holds: GOPs, bits by frame type, and how sparse motion and residuals are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybrid.errors import BadInputError
from hybrid.video.gop import Array
from hybrid.video.reader import open_video, read

DEAD_ZONE = 8
"""Residuals of at most this many grey levels count as zero in `residual_quiet`."""


@dataclass(frozen=True, slots=True)
class Sparsity:
    """Shares of one form (raw or accumulated) over all pixels of all P-frames.

    Attributes:
        motion_zero: pixels with no motion.
        residual_zero: residual values that are zero.
        residual_quiet: residual values within `DEAD_ZONE` of zero.
        motion_median: median length of the motion that is not zero, in pixels.
        motion_p99: 99th percentile of it.
    """

    motion_zero: float
    residual_zero: float
    residual_quiet: float
    motion_median: float
    motion_p99: float


@dataclass(frozen=True, slots=True)
class VideoStatistics:
    """One video.

    Attributes:
        codec: FFmpeg's name of it.
        width: columns, as shown.
        height: rows, as shown.
        rate: frames per second.
        gops: number of GOPs.
        gop_frames: frames of each GOP, the I-frame included.
        i_bits: mean bits of an I-frame.
        p_bits: mean bits of a P-frame; 0 where there is none.
        raw: of motion and residuals frame to frame.
        accumulated: of motion and residuals back-traced to the I-frame.
    """

    codec: str
    width: int
    height: int
    rate: float
    gops: int
    gop_frames: tuple[int, ...]
    i_bits: float
    p_bits: float
    raw: Sparsity
    accumulated: Sparsity


class _Tally:
    """Running sums for `Sparsity`; the lengths of vectors go into a histogram of tenths of a pixel."""

    def __init__(self) -> None:
        self.pixels = self.still = self.zero = self.quiet = 0
        self.lengths = np.zeros(20_000, np.int64)

    def add(self, motion: Array, residual: Array) -> None:
        length = np.hypot(motion[..., 0].astype(np.float32), motion[..., 1])
        moving = length > 0
        self.pixels += moving.size
        self.still += moving.size - int(moving.sum())
        tenths = np.minimum(np.rint(10 * length[moving]).astype(np.int64), len(self.lengths) - 1)
        self.lengths += np.bincount(tenths, minlength=len(self.lengths))
        self.zero += int((residual == 0).sum())
        self.quiet += int((np.abs(residual) <= DEAD_ZONE).sum())

    def sparsity(self) -> Sparsity:
        pixels, total = max(self.pixels, 1), np.cumsum(self.lengths)
        at = [float(np.searchsorted(total, q * total[-1])) / 10 if total[-1] else 0.0 for q in (0.5, 0.99)]
        return Sparsity(self.still / pixels, self.zero / (3 * pixels), self.quiet / (3 * pixels), at[0], at[1])


def statistics(path: str | Path) -> VideoStatistics:
    """Read a video twice, raw and accumulated, holding one GOP at a time.

    Raises:
        BadInputError: for a video that cannot be traced back.
    """
    path = Path(path)
    bits: dict[bool, list[int]] = {True: [], False: []}
    with open_video(path) as (container, stream):
        codec, rate = stream.codec_context.name, float(stream.average_rate or 0)
        for packet in container.demux(stream):
            if packet.size:
                bits[bool(packet.is_keyframe)].append(8 * packet.size)
    raw, accumulated = _Tally(), _Tally()
    frames: list[int] = []
    shape = (0, 0)
    for gop in read(path):
        shape = (gop.iframe.shape[0], gop.iframe.shape[1])
        frames.append(gop.steps + 1)
        accumulated.add(gop.motion, gop.residual)
    for gop in read(path, accumulate=False):
        raw.add(gop.motion, gop.residual)
    if not frames:
        raise BadInputError(str(path), "it has no I-frame", "check that the file is a complete video")
    return VideoStatistics(
        codec=codec, width=shape[1], height=shape[0], rate=rate, gops=len(frames), gop_frames=tuple(frames),
        i_bits=_mean(bits[True]), p_bits=_mean(bits[False]),
        raw=raw.sparsity(), accumulated=accumulated.sparsity(),
    )  # fmt: skip


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0
