"""Re-encode videos to the paper's format: MPEG-4 part 2, 240 lines, GOPs of 12, no B-frames, no sound."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from hybrid.errors import BadInputError, HybridError
from hybrid.video.reader import index

SUFFIXES = frozenset({".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts"})
"""What a folder is searched for."""
CLOCK = 65535
"""MPEG-4 part 2 counts time in at most this many ticks a second (ISO/IEC 14496-2, vop_time_increment_resolution)."""
FASTEST = 1000
"""Frames a second; what declares more gives its clock, not its frame rate."""
LONGEST_INTERVAL_S = 10
"""A longer step between time stamps is a jump of the clock (a joined or wrapped stream), not a pause."""
RATE_TOLERANCE = 0.01
"""The declared rate stands where time stamps agree with it so far: they are rounded, to milliseconds in WebM."""
POLITE_TRIES = 8
"""How often a worker is asked to end, five times a second, before it is killed."""

Status = Literal["done", "skipped", "failed"]


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
class Outcome:
    """What became of one file of a folder.

    Attributes:
        source: the file.
        target: what was, or would have been, written.
        status: `done`, `skipped` (it was there: newer, whole, of this format), or `failed`.
        reason: why it failed.
    """

    source: Path
    target: Path
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    source: Path
    target: Path
    aside: Path


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
        BadInputError: for a source that is no video, or breaks off; for a target that cannot be written, or is
            the source.
    """
    return _transcode(_job(source, target), form or Format())


def transcode_tree(source: Path, target: Path, workers: int, form: Format | None = None) -> Iterator[Outcome]:
    """Re-encode every video below a folder into the same tree below another, in parallel.

    A file whose result is there, newer, whole by its index and made with the same settings is skipped, so that a
    stopped run goes on where it was; a file that fails is reported and the rest goes on. A file that was in work
    when a worker process died is tried once more, alone. Stopping the caller stops the workers.

    Args:
        source: the folder to read.
        target: the folder to write, outside of `source`; suffixes become `.avi`.
        workers: processes.
        form: what to encode to.

    Yields:
        One outcome per file, as they come.

    Raises:
        BadInputError: for a missing folder, one without videos, two files that would become one, or two folders
            one of which holds the other.
        HybridError: where worker processes cannot even start.
    """
    form = form or Format()
    waiting = deque(_job(a, b) for a, b in plan_tree(source, target).items())
    while waiting:
        in_doubt: list[_Job] = []
        with closing(_work(waiting, workers, form)) as results:
            for job, outcome in results:
                if outcome is None:
                    in_doubt.append(job)
                else:
                    yield outcome
        for job in in_doubt:
            for _, outcome in _work(deque([job]), 1, form, probe=True):
                yield outcome or Outcome(job.source, job.target, "failed", "a worker process died")


def plan_tree(source: Path, target: Path) -> dict[Path, Path]:
    """Source and target of every video below a folder, sorted.

    Raises:
        BadInputError: for a missing folder, one without videos, two files that would become one, or two folders
            one of which holds the other.
    """
    if not source.is_dir():
        raise BadInputError(str(source), "there is no such folder", "give a video, or a folder of videos")
    here, there = source.resolve(), target.resolve()
    if here in (there, *there.parents) or there in here.parents:
        what = f"results would mix with the videos of {source}"
        raise BadInputError(str(target), what, "choose two folders that lie side by side")
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


def _job(source: Path, target: Path) -> _Job:
    return _Job(source, target, target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.part"))


def _work(
    waiting: deque[_Job], workers: int, form: Format, *, probe: bool = False
) -> Generator[tuple[_Job, Outcome | None], None, None]:
    """Take jobs from `waiting` until none is left or a worker dies; those in work then come without an outcome.

    Args:
        waiting: jobs are taken from its front.
        workers: processes, and jobs in work at a time.
        form: what to encode to.
        probe: see that a worker can start before it is given a job.
    """
    crew = _Crew()
    executor = ProcessPoolExecutor(workers, mp_context=crew, initializer=_begin_worker)
    in_work: dict[Future[tuple[Status, str]], _Job] = {}
    died: list[_Job] = []
    try:
        if probe:
            _probe(executor)
        while in_work or (waiting and not died):
            while waiting and len(in_work) < workers and not died:
                try:
                    future = executor.submit(_convert, waiting[0], form)
                except BrokenProcessPool:  # those in work report it
                    break
                in_work[future] = waiting.popleft()
            for future in wait(in_work, return_when=FIRST_COMPLETED).done:
                job = in_work[future]
                error = future.exception()
                if error is None:
                    status, reason = future.result()
                    del in_work[future]
                    yield job, Outcome(job.source, job.target, status, reason)
                elif isinstance(error, BrokenProcessPool):
                    del in_work[future]
                    died.append(job)
                else:
                    raise error
    except BaseException:
        crew.stop()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        for job in (*in_work.values(), *died):  # what a killed worker could not remove
            job.aside.unlink(missing_ok=True)
    for job in died:
        yield job, None


def _probe(executor: ProcessPoolExecutor) -> None:
    try:
        executor.submit(os.getpid).result()
    except BrokenProcessPool as error:
        fix = 'see what they printed; a script that calls this needs `if __name__ == "__main__":`'
        raise HybridError("worker processes", "they die before they begin", fix) from error


class _Crew(SpawnContext):
    """Starts workers, and knows which ones are ours to stop.

    Spawned: a fork of a process that has run torch or FFmpeg threads can hang.
    """

    def __init__(self) -> None:
        self._started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]
        """What the executor calls for each worker."""
        process = SpawnProcess(*args, **kwargs)
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End the workers, each removing its half file; kill those that do not listen."""
        for attempt in range(POLITE_TRIES + 1):
            alive = [process for process in self._started if process.is_alive()]
            if not alive:
                return
            for process in alive:
                process.kill() if attempt == POLITE_TRIES else process.terminate()
            alive[0].join(0.2)


def _begin_worker() -> None:
    """Leave Ctrl-C to the parent, end cleanly when told to, and do not outlive the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        while True:  # again, should the first one fall into a callback that swallows it
            # to the main thread, whose waiting read only a signal of its own interrupts
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            time.sleep(0.2)


def _convert(job: _Job, form: Format) -> tuple[Status, str]:
    """What a worker does with one file: status and reason."""
    try:
        if _is_finished(job, form):
            return "skipped", ""
        _transcode(job, form)
    except SystemExit:  # told to end; the executor would take it for a failed job and begin the next one
        os._exit(143)
    except HybridError as error:
        return "failed", error.what
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "done", ""


def _is_finished(job: _Job, form: Format) -> bool:
    if not job.target.is_file() or job.target.stat().st_mtime < job.source.stat().st_mtime:
        return False
    try:
        with av.open(str(job.target)) as container:
            made_alike = container.metadata.get("comment") == form.tag
        return made_alike and sum(entry.frames for entry in index(job.target)) > 0
    except (av.error.FFmpegError, BadInputError):
        return False


def _transcode(job: _Job, form: Format) -> int:
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
    try:
        frames = _encode(source, job.aside, form)
        os.replace(job.aside, target)
    except av.error.FFmpegError as error:
        what = f"the video cannot be re-encoded: {error.strerror or error}"
        raise BadInputError(str(source), what, "check that the file is a complete video") from error
    finally:
        job.aside.unlink(missing_ok=True)
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
