"""Re-encode videos to the paper's format: MPEG-4 part 2, 240 lines, GOPs of 12, no B-frames, no sound."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from hybrid.errors import BadInputError

SUFFIXES = frozenset({".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts"})
"""What a folder is searched for."""


@dataclass(frozen=True, slots=True)
class Format:
    """What to encode to.

    Attributes:
        lines: height of the picture; the width follows, both even.
        gop: frames per GOP, the I-frame included.
        quantiser: MPEG-4's fixed quantiser, 2 (near-lossless) to 31.
    """

    lines: int = 240
    gop: int = 12
    quantiser: int = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file of a folder.

    Attributes:
        source: the file.
        target: what was, or would have been, written.
        status: `done`, `skipped` (it was there, and newer), or `failed`.
        reason: why it failed.
    """

    source: Path
    target: Path
    status: Literal["done", "skipped", "failed"]
    reason: str = ""


def transcode(source: Path, target: Path, form: Format | None = None) -> int:
    """Re-encode one video into an AVI file, written aside and then renamed.

    The picture is turned upright by its rotation metadata. AVI has one frame rate: the source's average; frames
    keep their number and order.

    Args:
        source: any video that FFmpeg decodes.
        target: the file to write; its folder is made.
        form: what to encode to; the paper's format where it is not given.

    Returns:
        The number of frames.

    Raises:
        BadInputError: for a source that is no video, or breaks off.
    """
    if not source.is_file():
        raise BadInputError(str(source), "there is no such file", "check the path")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem}.", suffix=".part")
    os.close(handle)
    try:
        frames = _encode(source, aside, form or Format())
        os.chmod(aside, 0o644)
        os.replace(aside, target)
    except av.error.FFmpegError as error:
        what = f"the video cannot be re-encoded: {error.strerror or error}"
        raise BadInputError(str(source), what, "check that the file is a complete video") from error
    finally:
        Path(aside).unlink(missing_ok=True)
    return frames


def transcode_tree(source: Path, target: Path, workers: int, form: Format | None = None) -> Iterator[Outcome]:
    """Re-encode every video below a folder into the same tree below another, in parallel.

    A file whose result is there and newer is skipped, so that a stopped run goes on where it was; a file that
    fails is reported and the rest goes on. Stopping the caller stops the workers.

    Args:
        source: the folder to read.
        target: the folder to write; suffixes become `.avi`.
        workers: processes.
        form: what to encode to.

    Yields:
        One outcome per file, as they come.

    Raises:
        BadInputError: for a missing folder, one without videos, or two files that would become one.
    """
    jobs = plan_tree(source, target)
    open_jobs = {a: b for a, b in jobs.items() if not (b.is_file() and b.stat().st_mtime >= a.stat().st_mtime)}
    for a in jobs.keys() - open_jobs.keys():
        yield Outcome(a, jobs[a], "skipped")
    # spawn: a fork of a process that has run torch or FFmpeg threads can hang
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)
    try:
        running = {executor.submit(transcode, a, b, form): a for a, b in open_jobs.items()}
        for future in as_completed(running):
            a = running[future]
            error = future.exception()
            if error is None:
                yield Outcome(a, open_jobs[a], "done")
            elif isinstance(error, BadInputError):
                yield Outcome(a, open_jobs[a], "failed", error.what)
            else:
                died = isinstance(error, BrokenProcessPool)
                reason = "a worker process died" if died else f"{type(error).__name__}: {error}"
                yield Outcome(a, open_jobs[a], "failed", reason)
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def plan_tree(source: Path, target: Path) -> dict[Path, Path]:
    """Source and target of every video below a folder, sorted.

    Raises:
        BadInputError: for a missing folder, one without videos, or two files that would become one.
    """
    if not source.is_dir():
        raise BadInputError(str(source), "there is no such folder", "give a video, or a folder of videos")
    videos = sorted(x for x in source.rglob("*") if x.suffix.lower() in SUFFIXES and x.is_file())
    if not videos:
        raise BadInputError(str(source), "no videos were found in it", f"videos end in {', '.join(sorted(SUFFIXES))}")
    jobs: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for video in videos:
        path = target / video.relative_to(source).with_suffix(".avi")
        if path in taken:
            what = f"it would become the same file as {taken[path].name}"
            raise BadInputError(str(video), what, "rename one of the two")
        taken[path] = video
        jobs[video] = path
    return jobs


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, end cleanly when told to, and do not outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        while True:  # the executor catches the first one if it ends a job, so that the job can clean up
            # to the main thread, whose waiting read only a signal of its own interrupts
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(0.2)


def _encode(source: Path, aside: str, form: Format) -> int:
    reformatter, count = VideoReformatter(), 0
    with av.open(str(source)) as container, av.open(aside, "w", format="avi") as out:
        if not container.streams.video:
            raise BadInputError(str(source), "it has no video stream", "give a file with video in it")
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        stream = None
        for frame in container.decode(video):
            if frame.is_corrupt:
                raise BadInputError(str(source), f"frame {count} is damaged", "check that the file is a complete video")
            upright = _upright(frame)
            if stream is None:
                stream = _stream(out, video, upright, form)
            picture = reformatter.reformat(upright, stream.width, stream.height, "yuv420p", threads=1)
            picture.pict_type, picture.pts, picture.time_base = 0, count, 1 / stream.codec_context.framerate
            out.mux(stream.encode(picture))
            count += 1
        if stream is None:
            raise BadInputError(str(source), "it has no frame that can be decoded", "check that the file is complete")
        if count < video.frames - 1:
            what = f"it ends after {count} of {video.frames} declared frames"
            raise BadInputError(str(source), what, "check that the file is a complete video")
        out.mux(stream.encode())
    return count


def _stream(out: Any, video: Any, frame: Any, form: Format) -> Any:
    options = {"qmin": str(form.quantiser), "qmax": str(form.quantiser), "sc_threshold": "1000000000"}
    rate = Fraction(video.average_rate or video.guessed_rate or 25).limit_denominator(65535)
    stream = out.add_stream("mpeg4", rate=rate, options=options)
    stream.height, stream.width = form.lines, 2 * round(frame.width * form.lines / frame.height / 2)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.gop_size, stream.codec_context.max_b_frames = form.gop, 0
    return stream


def _upright(frame: Any) -> Any:
    quarters = round(int(frame.rotation) / 90) % 4
    if quarters == 0:
        return frame
    turned = np.rot90(frame.to_ndarray(format="rgb24"), quarters)
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(turned), format="rgb24")
