"""What a compressed video holds: GOPs, bits by frame type, and how sparse motion and residuals are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.errors import BadInputError
from hybrid.video.builder import vectors_of
from hybrid.video.gop import Array
from hybrid.video.reader import P_FRAME, open_video, read

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
        rate: frames per second, as declared; 0 where the container does not say.
        duration: seconds, all frames at that rate; 0 where it is not known.
        gops: number of GOPs.
        gop_frames: frames of each GOP, the I-frame included.
        i_frames: number of I-frames.
        p_frames: number of P-frames.
        i_bits: mean bits of an I-frame.
        p_bits: mean bits of a P-frame; 0 where there is none.
        intra_share: share of the P-frames' area in intra blocks, which have no vector.
        raw: of motion and residuals frame to frame.
        accumulated: of motion and residuals back-traced to the I-frame.
    """

    codec: str
    width: int
    height: int
    rate: float
    duration: float
    gops: int
    gop_frames: tuple[int, ...]
    i_frames: int
    p_frames: int
    i_bits: float
    p_bits: float
    intra_share: float
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


class _Stream:
    """What packets and vectors tell: bits of every frame, and the area that has no vector."""

    def __init__(self, container: Any, stream: Any) -> None:
        self.codec, self.rate = str(stream.codec_context.name), float(stream.average_rate or 0)
        self.bits: dict[bool, list[int]] = {True: [], False: []}
        self.area = self.predicted = 0
        for packet in container.demux(stream):
            if packet.size:
                self.bits[bool(packet.is_keyframe)].append(8 * packet.size)
            for frame in packet.decode():
                if int(frame.pict_type) == P_FRAME:
                    self.area += int(frame.width * frame.height)
                    self.predicted += _covered(vectors_of(frame), int(frame.width), int(frame.height))

    @property
    def intra_share(self) -> float:
        return 1 - self.predicted / self.area if self.area else 0.0


def _covered(vectors: Array, width: int, height: int) -> int:
    """Pixels of the picture that blocks with a vector lie on; blocks of one frame never overlap."""
    sides = []
    for centre, size, limit in (("dst_x", "w", width), ("dst_y", "h", height)):
        start = vectors[centre].astype(np.int64) - vectors[size] // 2
        sides.append(np.clip(start + vectors[size], 0, limit) - np.clip(start, 0, limit))
    return int((sides[0] * sides[1]).sum())


def statistics(path: str | Path) -> VideoStatistics:
    """Read a video for its packets, raw and accumulated, holding one GOP at a time.

    Raises:
        BadInputError: for a video that cannot be traced back.
    """
    path = Path(path)
    with open_video(path) as (container, stream):
        found = _Stream(container, stream)
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
        codec=found.codec, width=shape[1], height=shape[0],
        rate=found.rate, duration=sum(frames) / found.rate if found.rate else 0.0,
        gops=len(frames), gop_frames=tuple(frames), i_frames=len(frames), p_frames=sum(frames) - len(frames),
        i_bits=_mean(found.bits[True]), p_bits=_mean(found.bits[False]), intra_share=found.intra_share,
        raw=raw.sparsity(), accumulated=accumulated.sparsity(),
    )  # fmt: skip


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0
