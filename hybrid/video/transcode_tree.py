"""Re-encode a folder of videos: in parallel, and so that a stopped run goes on where it was."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av

from hybrid.errors import BadInputError, HybridError
from hybrid.video.reader import index
from hybrid.video.transcode import Format, Job, run_job
from hybrid.workers import Crew, begin_worker
from snn_export.aside import sweep

SUFFIXES = frozenset({".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts"})
"""What a folder is searched for."""

Status = Literal["done", "skipped", "failed"]


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
    waiting = deque(Job(a, b) for a, b in plan_tree(source, target).items())
    while waiting:
        in_doubt: list[Job] = []
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


def _work(
    waiting: deque[Job], workers: int, form: Format, *, probe: bool = False
) -> Generator[tuple[Job, Outcome | None], None, None]:
    """Take jobs from `waiting` until none is left or a worker dies; those in work then come without an outcome.

    Args:
        waiting: jobs are taken from its front.
        workers: processes, and jobs in work at a time.
        form: what to encode to.
        probe: see that a worker can start before it is given a job.
    """
    crew = Crew()
    executor = ProcessPoolExecutor(workers, mp_context=crew, initializer=begin_worker)
    in_work: dict[Future[tuple[Status, str]], Job] = {}
    died: list[Job] = []
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
            sweep(job.target)
    for job in died:
        yield job, None


def _probe(executor: ProcessPoolExecutor) -> None:
    try:
        executor.submit(os.getpid).result()
    except BrokenProcessPool as error:
        fix = 'see what they printed; a script that calls this needs `if __name__ == "__main__":`'
        raise HybridError("worker processes", "they die before they begin", fix) from error


def _convert(job: Job, form: Format) -> tuple[Status, str]:
    """What a worker does with one file: status and reason."""
    try:
        if _is_finished(job, form):
            return "skipped", ""
        run_job(job, form)
    except SystemExit:  # told to end; the executor would take it for a failed job and begin the next one
        os._exit(143)
    except HybridError as error:
        return "failed", error.what
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "done", ""


def _is_finished(job: Job, form: Format) -> bool:
    if not job.target.is_file() or job.target.stat().st_mtime < job.source.stat().st_mtime:
        return False
    try:
        with av.open(str(job.target)) as container:
            made_alike = container.metadata.get("comment") == form.tag
        return made_alike and sum(entry.frames for entry in index(job.target)) > 0
    except (av.error.FFmpegError, BadInputError):
        return False
