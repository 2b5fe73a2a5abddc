"""Read GOPs from an MPEG-4 part 2 file through PyAV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from hybrid.errors import BadInputError
from hybrid.video.accumulate import Trace, paint
from hybrid.video.gop import Array, Gop

I_FRAME, P_FRAME, B_FRAME = 1, 2, 3
NO_VECTORS = [(name, np.int16) for name in ("w", "h", "src_x", "src_y", "dst_x", "dst_y")]
TRANSCODE = "ffmpeg -i {src} -an -vf scale=-2:240 -c:v mpeg4 -q:v 5 -g 12 -bf 0 -sc_threshold 1000000000 {dst}.avi"


@dataclass(frozen=True, slots=True)
class GopEntry:
    """Where a GOP begins and how many frames it has.

    Attributes:
        index: number of the GOP in the file, from 0.
        pts: presentation time stamp of its I-frame, in units of the stream's time base.
        frames: number of frames, the I-frame included.
    """

    index: int
    pts: int
    frames: int


def read(path: str | Path, *, accumulate: bool = True, max_steps: int | None = None) -> Iterator[Gop]:
    """Yield every GOP of a video in order, holding one at a time.

    Args:
        path: MPEG-4 part 2 file without B-frames, in any container.
        accumulate: back-trace motion and residuals to the I-frame, or leave them frame to frame.
        max_steps: P-frames to keep of each GOP; the later ones are decoded and dropped.

    Raises:
        BadInputError: for a file that is no such video, or is broken.
    """
    with open_video(Path(path)) as (container, stream):
        yield from _gops(Path(path), container.decode(stream), accumulate, max_steps, 0)


def index(path: str | Path) -> tuple[GopEntry, ...]:
    """List the GOPs of a video from its packets, without decoding.

    Raises:
        BadInputError: for a file that is no such video, or ends before its time.
    """
    path = Path(path)
    entries: list[GopEntry] = []
    packets = 0
    with open_video(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.size == 0:
                continue
            if packet.is_corrupt:
                raise _broken(path, f"it ends in the middle of frame {packets}")
            packets += 1
            if packet.is_keyframe:
                entries.append(GopEntry(len(entries), int(packet.pts if packet.pts is not None else packet.dts), 1))
            elif entries:
                last = entries[-1]
                entries[-1] = GopEntry(last.index, last.pts, last.frames + 1)
        # Packed B-frame AVIs hold one frame fewer than they declare; more is missing data.
        if packets < stream.frames - 1:
            raise _broken(path, f"it ends after {packets} of {stream.frames} declared frames")
    if not entries:
        raise _broken(path, "it has no I-frame")
    return tuple(entries)


def sample(path: str | Path, segments: int = 8, *, steps: int = 11, accumulate: bool = True) -> tuple[Gop, ...]:
    """Read one GOP from the middle of each of `segments` equal parts of a video.

    Only GOPs with at least `steps` P-frames count, each cut to `steps`. Where the video has fewer such GOPs
    than segments, GOPs repeat. Only the chosen ones are decoded (seek to the keyframe).

    Args:
        path: the video.
        segments: how many GOPs to return.
        steps: P-frames per GOP.
        accumulate: as for `read`.

    Raises:
        BadInputError: for a broken video, or one without a single whole GOP.
    """
    path = Path(path)
    whole = [entry for entry in index(path) if entry.frames > steps]
    if not whole:
        raise BadInputError(
            str(path),
            f"no GOP has an I-frame and {steps} P-frames: the clip is shorter than one GOP",
            f"use a clip of at least {steps + 1} frames, encoded with a GOP of {steps + 1}",
        )
    chosen = [whole[int((i + 0.5) * len(whole) / segments)] for i in range(segments)]
    found: dict[int, Gop] = {}
    with open_video(path) as (container, stream):
        for entry in dict.fromkeys(chosen):
            container.seek(entry.pts, stream=stream)
            frames = (f for f in container.decode(stream) if f.pts is None or f.pts >= entry.pts)
            gop = next(_gops(path, frames, accumulate, steps, entry.index), None)
            if gop is None or gop.steps != steps:
                raise _broken(path, f"GOP {entry.index} could not be decoded")
            found[entry.index] = gop
    return tuple(found[entry.index] for entry in chosen)


def vectors_of(frame: Any) -> Array:
    """The motion vectors of a decoded frame as a structured array; empty where all its blocks are intra."""
    side_data = frame.side_data.get("MOTION_VECTORS")
    return np.zeros(0, NO_VECTORS) if side_data is None else np.asarray(side_data.to_ndarray())


@contextmanager
def open_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a video for decoding with exported vectors: (container, stream).

    Raises:
        BadInputError: for a file that is no MPEG-4 part 2 video.
    """
    if not path.is_file():
        raise BadInputError(str(path), "there is no such file", "check the path")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise BadInputError(str(path), "it has no video stream", "give a file with video in it")
            stream = container.streams.video[0]
            codec = stream.codec_context.name
            if codec != "mpeg4":
                raise BadInputError(
                    str(path),
                    f"its codec is {codec}; only MPEG-4 part 2 can be traced back to its I-frames so far",
                    f"re-encode it: {TRANSCODE.format(src=path.name, dst=path.stem)}",
                )
            # Set before the first decode, or PyAV ignores it without a word.
            stream.codec_context.options = {"flags2": "+export_mvs"}
            yield container, stream
    except av.error.FFmpegError as error:
        raise _broken(path, error.strerror or str(error)) from error


def _gops(path: Path, frames: Iterator[Any], accumulate: bool, max_steps: int | None, first: int) -> Iterator[Gop]:
    builder: _Builder | None = None
    number = first
    for frame in frames:
        kind = int(frame.pict_type)
        if kind == B_FRAME:
            raise BadInputError(
                str(path),
                "it has B-frames, whose vectors also point forward",
                f"re-encode it: {TRANSCODE.format(src=path.name, dst=path.stem)}",
            )
        if kind == I_FRAME:
            if builder is not None:
                yield builder.finish()
            builder = _Builder(frame, number, accumulate)
            number += 1
        elif kind == P_FRAME and builder is not None and (max_steps is None or builder.steps < max_steps):
            if (frame.height, frame.width) != builder.shape:
                raise _broken(path, f"the picture size changes in GOP {builder.number}")
            builder.add(frame)
    if builder is not None:
        yield builder.finish()


class _Builder:
    """Collects the frames of one GOP."""

    def __init__(self, frame: Any, number: int, accumulate: bool) -> None:
        self.number, self.accumulate = number, accumulate
        self.shape = (int(frame.height), int(frame.width))
        self._iframe = frame.to_ndarray(format="rgb24")
        self._previous = self._iframe.reshape(-1, 3).astype(np.int16)
        self._trace = Trace(*self.shape)
        self._motion: list[Array] = []
        self._residual: list[Array] = []
        self._times = [_time(frame)]

    @property
    def steps(self) -> int:
        return len(self._motion)

    def add(self, frame: Any) -> None:
        pixels = frame.to_ndarray(format="rgb24").reshape(-1, 3).astype(np.int16)
        motion = paint(vectors_of(frame), *self.shape)
        trace = self._trace if self.accumulate else Trace(*self.shape)
        trace.advance(motion)
        self._motion.append(trace.motion() if self.accumulate else motion)
        self._residual.append((pixels - self._previous.take(trace.places, axis=0)).reshape(*self.shape, 3))
        self._times.append(_time(frame))
        if not self.accumulate:
            self._previous = pixels

    def finish(self) -> Gop:
        height, width = self.shape
        motion = np.stack(self._motion) if self._motion else np.zeros((0, height, width, 2), np.int16)
        residual = np.stack(self._residual) if self._residual else np.zeros((0, height, width, 3), np.int16)
        return Gop(self._iframe, motion, residual, np.array(self._times), self.number, self.accumulate)


def _time(frame: Any) -> float:
    return float("nan") if frame.pts is None else float(frame.pts * frame.time_base)


def _broken(path: Path, what: str) -> BadInputError:
    return BadInputError(str(path), f"the video cannot be read: {what}", "check that the file is a complete video")
