"""What a compressed video holds: GOPs, bits by frame type, and how sparse motion and residuals are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from hybrid.errors import BadInputError
from hybrid.video.builder import vectors_of
from hybrid.video.gop import Array
from hybrid.video.reader import P_FRAME, GopReader, ReadOptions, open_video

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
    """What packets and vectors tell: bits of every packet, and the area that has no vector."""

    def __init__(self) -> None:
        self.bits: dict[bool, list[int]] = {True: [], False: []}
        self.area = self.predicted = 0

    def weigh(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Pass packets on, and keep their bits."""
        for packet in packets:
            if packet.size:
                self.bits[bool(packet.is_keyframe)].append(8 * packet.size)
            yield packet

    def measure(self, frames: Iterable[Any]) -> Iterator[Any]:
        """Pass frames on, and add up the area of their blocks."""
        for frame in frames:
            if frame is not None and int(frame.pict_type) == P_FRAME:
                self.area += int(frame.width * frame.height)
                self.predicted += _covered(vectors_of(frame), int(frame.width), int(frame.height))
            yield frame

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
    """Read a video once, holding the frames of one GOP and its two forms at a time.

    Raises:
        BadInputError: for a video that cannot be traced back.
    """
    path = Path(path)
    found, raw, accumulated = _Stream(), _Tally(), _Tally()
    lengths: list[int] = []
    shape = (0, 0)
    with open_video(path) as (container, stream):
        codec, rate = str(stream.codec_context.name), float(stream.average_rate or 0)
        readers = [GopReader(path, container, stream, ReadOptions(accumulate=x)) for x in (True, False)]
        frames = found.measure(readers[0].frames(found.weigh(container.demux(stream))))
        # the second reader takes up what the first has taken for a GOP: no more than that is held
        for gop, twin in zip(*(x.gops(copy) for x, copy in zip(readers, tee(frames), strict=True)), strict=True):
            shape = (gop.iframe.shape[0], gop.iframe.shape[1])
            lengths.append(gop.steps + 1)
            accumulated.add(gop.motion, gop.residual)
            raw.add(twin.motion, twin.residual)
    if not lengths:
        raise BadInputError(str(path), "it has no I-frame", "check that the file is a complete video")
    return VideoStatistics(
        codec=codec, width=shape[1], height=shape[0],
        rate=rate, duration=sum(lengths) / rate if rate else 0.0,
        gops=len(lengths), gop_frames=tuple(lengths), i_frames=len(lengths), p_frames=sum(lengths) - len(lengths),
        i_bits=_mean(found.bits[True]), p_bits=_mean(found.bits[False]), intra_share=found.intra_share,
        raw=raw.sparsity(), accumulated=accumulated.sparsity(),
    )  # fmt: skip


def _mean(values: list[int]) -> float:
    return sum(values) / len(values) if values else 0.0
