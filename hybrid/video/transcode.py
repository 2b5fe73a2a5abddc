"""Re-encode videos to the paper's format: MPEG-4 part 2, 240 lines, GOPs of 12, no B-frames, no sound."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from hybrid.errors import BadInputError
from hybrid.files import FULL, unwritten, writing
from snn_export.aside import claimed

CLOCK = 65535
"""MPEG-4 part 2 counts time in at most this many ticks a second (ISO/IEC 14496-2, vop_time_increment_resolution)."""
FASTEST = 1000
"""Frames a second; what declares more gives its clock, not its frame rate."""
LONGEST_INTERVAL_S = 10
"""A longer step between time stamps is a jump of the clock (a joined or wrapped stream), not a pause."""
RATE_TOLERANCE = 0.01
"""The declared rate stands where time stamps agree with it so far: they are rounded, to milliseconds in WebM."""


@dataclass(frozen=True, slots=True)
class Format:
    """What to encode to.

    Attributes:
        lines: height of the picture, even; the width follows the shape of the picture as shown, even too.
        gop: frames per GOP, the I-frame included, 1 to 600.
        quantiser: MPEG-4's fixed quantiser, 2 (near-lossless) to 31.
        start: frames to leave out at the beginning.

    Raises:
        BadInputError: for a value out of range.
    """

    lines: int = 240
    gop: int = 12
    quantiser: int = 5
    start: int = 0

    def __post_init__(self) -> None:
        if self.lines % 2 or not 16 <= self.lines <= 4096:
            raise BadInputError("lines", f"{self.lines} lines cannot be encoded", "give an even number, 16 to 4096")
        if not 1 <= self.gop <= 600:
            raise BadInputError("gop", f"{self.gop} frames per GOP cannot be encoded", "give 1 to 600")
        if not 2 <= self.quantiser <= 31:
            raise BadInputError("quantiser", f"there is no quantiser {self.quantiser}", "give 2 to 31")
        if self.start < 0:
            raise BadInputError("start", f"{self.start} frames cannot be left out", "give 0 or more")

    @property
    def tag(self) -> str:
        """These settings as the comment in a file made with them."""
        start = f" start={self.start}" if self.start else ""
        return f"hybrid transcode lines={self.lines} gop={self.gop} quantiser={self.quantiser}{start}"


@dataclass(frozen=True, slots=True)
class Job:
    """One video to re-encode.

    Attributes:
        source: the video.
        target: the `.avi` file to write.
    """

    source: Path
    target: Path


def transcode(source: Path, target: Path, form: Format | None = None) -> int:
    """Re-encode one video into an AVI file, written aside and then renamed.

    The picture is turned upright by its rotation metadata, and non-square pixels become square ones. AVI has one
    frame rate: every frame is kept, in order, at the mean rate of the source's time stamps, so that the length is
    right and a source of varying rate loses its rhythm.

    Args:
        source: any video that FFmpeg decodes.
        target: the `.avi` file to write; its folder is made.
        form: what to encode to; the paper's format where it is not given.

    Returns:
        The number of frames.

    Raises:
        BadInputError: for a source that is no video, or breaks off; for a target that is the source, or no file.
        HybridError: where the target cannot be written.
    """
    return run_job(Job(source, target), form or Format())


def run_job(job: Job, form: Format) -> int:
    """Do a job; as `transcode`."""
    source, target = job.source, job.target
    if not source.is_file():
        raise BadInputError(str(source), "there is no such file", "check the path")
    if target.suffix.lower() != ".avi":
        raise BadInputError(str(target), "what is written is an AVI file", "give a name that ends in .avi")
    if target.is_dir() or (target.exists() and target.samefile(source)):
        what = "it is a folder" if target.is_dir() else "it is the source itself"
        raise BadInputError(str(target), what, "choose another name for the result")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"its folder cannot be made: {error.strerror}"
        raise BadInputError(str(target), what, "choose another place for the result") from error
    with writing(target), claimed(target) as aside:
        try:
            frames = _encode(source, aside, form)
        except av.error.FFmpegError as error:
            if error.errno in FULL:
                raise unwritten(target, error) from error
            what = f"the video cannot be re-encoded: {error.strerror or error}"
            raise BadInputError(str(source), what, "check that the file is a complete video") from error
        os.replace(aside, target)
    return frames


def _encode(source: Path, aside: Path, form: Format) -> int:
    reformatter, count = VideoReformatter(), 0
    rate = _frame_rate(source)
    with av.open(str(source)) as container, av.open(str(aside), "w", format="avi") as out:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        out.metadata["comment"] = form.tag
        stream = None
        for number, frame in enumerate(container.decode(video)):
            if frame.is_corrupt:
                raise BadInputError(
                    str(source), f"frame {number} is damaged", "check that the file is a complete video"
                )
            if number < form.start:
                continue
            upright = _upright(frame)
            if stream is None:
                stream = _stream(out, rate, _aspect(frame, video.sample_aspect_ratio), form)
            picture = reformatter.reformat(upright, stream.width, stream.height, "yuv420p", threads=1)
            picture.pict_type, picture.pts, picture.time_base = 0, count, 1 / rate
            out.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise BadInputError(str(source), "it has no frame that can be encoded", "check that the file is complete")
        if count + form.start < video.frames - 1:
            what = f"it ends after {count + form.start} of {video.frames} declared frames"
            raise BadInputError(str(source), what, "check that the file is a complete video")
        out.mux(stream.encode())
    return count


def _stream(out: Any, rate: Fraction, aspect: float, form: Format) -> Any:
    options = {"qmin": str(form.quantiser), "qmax": str(form.quantiser), "sc_threshold": "1000000000"}
    stream = out.add_stream("mpeg4", rate=rate, options=options)
    stream.height, stream.width = form.lines, 2 * max(1, round(form.lines * aspect / 2))
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size, stream.codec_context.max_b_frames = form.gop, 0
    return stream


def _frame_rate(source: Path) -> Fraction:
    """Frames per second: as declared where the time stamps agree, else their mean; one that MPEG-4 can count."""
    with av.open(str(source)) as container:
        if not container.streams.video:
            raise BadInputError(str(source), "it has no video stream", "give a file with video in it")
        video = container.streams.video[0]
        rate = Fraction(video.average_rate or video.guessed_rate or 25)
        stamps = [packet.pts for packet in container.demux(video) if packet.size]
        measured = None if None in stamps else _mean_rate(np.array(stamps, np.float64) * float(video.time_base))
    if measured is not None and abs(measured - rate) > RATE_TOLERANCE * rate:
        rate = Fraction(measured)
    return 1 / (1 / min(rate, Fraction(FASTEST))).limit_denominator(CLOCK)


def _mean_rate(times: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    """Frames per second of presentation times in seconds, in any order; None for fewer than two."""
    steps = np.diff(np.sort(times))
    steps = steps[steps <= LONGEST_INTERVAL_S]
    return len(steps) / float(steps.sum()) if steps.any() else None


def _quarters(frame: Any) -> int:
    return round(int(frame.rotation) / 90) % 4


def _aspect(frame: Any, pixel: Fraction | None) -> float:
    """Width over height of the picture as shown; `pixel` is the same of one pixel, where it is known."""
    aspect = float(frame.width * (pixel or 1) / frame.height)
    return 1 / aspect if _quarters(frame) % 2 else aspect


def _upright(frame: Any) -> Any:
    quarters = _quarters(frame)
    if quarters == 0:
        return frame
    turned = np.rot90(frame.to_ndarray(format="rgb24"), quarters)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="rgb24")
