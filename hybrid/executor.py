"""Where the work of a sweep is done: here, or in worker processes. A cluster would be another body of `run_points`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from hybrid.errors import HybridError
from hybrid.workers import Crew, begin_worker

Task = TypeVar("Task")
Result = TypeVar("Result")


def run_points(points: Sequence[Task], work: Callable[[Task], Result], workers: int = 1) -> Iterator[Result]:
    """The result of `work` for each of `points`, as they are done.

    Args:
        points: what to work on; like `work`, they can be pickled where there are workers.
        work: what to do with one.
        workers: processes; with 1, all is done in this one, in order.

    Raises:
        HybridError: where a worker dies. Whatever `work` raises ends the rest and comes out here.
    """
    if workers == 1:
        yield from map(work, points)
        return
    crew = Crew()
    pool = ProcessPoolExecutor(workers, mp_context=crew, initializer=_begin, initargs=(workers,))
    try:
        for future in as_completed([pool.submit(_Guarded(work), point) for point in points]):
            yield future.result()
    except BrokenProcessPool as error:
        fix = "free some memory, or use fewer workers; what is done is kept, the same command goes on"
        raise HybridError("worker processes", "one died", fix) from error
    except BaseException:
        crew.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Guarded(Generic[Task, Result]):
    """Work that ends its process when told to: the pool would take the exit for a failure, and begin the next."""

    work: Callable[[Task], Result]

    def __call__(self, point: Task) -> Result:
        try:
            return self.work(point)
        except SystemExit:
            os._exit(143)


def _begin(workers: int) -> None:
    begin_worker()
    # before the work brings in torch, which reads it once
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
