"""Where work is done: here, in workers on this machine, or on a cluster; the last two by the same code, on Ray."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Generic, TypeVar

from hybrid.allocator import keep_freed_memory
from hybrid.cluster import connected, joined, started
from hybrid.errors import HybridError

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 3
"""How often an item is given to a worker before it is taken for what kills them."""
AHEAD = 2
"""Items that are given out for each worker: the one in work and the next. So memory does not grow with their number."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who works.

    Attributes:
        count: processes at a time; None is one here, and on a cluster all its CPUs.
        address: HOST:PORT of a Ray cluster; this machine where it is None.
    """

    count: int | None = None
    address: str | None = None

    @property
    def here(self) -> bool:
        """Whether all is done in this process."""
        return self.address is None and self.count in (None, 1)


class WorkerDiedError(HybridError):
    """An item on which a worker died each time that it was tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome(Generic[Item, Result]):
    """What became of an item: exactly one of `result` and `error`, unless the work returns None.

    Attributes:
        item: what was worked on.
        result: what the work returned.
        error: what it raised, or why there is no result.
    """

    item: Item
    result: Result | None
    error: HybridError | None

    def get(self) -> Result:
        """The result.

        Raises:
            HybridError: the error, where there is one.
        """
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


def run_items(
    items: Iterable[Item], work: Callable[[Item], Result], workers: Workers | None = None
) -> Iterator[Outcome[Item, Result]]:
    """What `work` makes of each item, as they are done.

    An item whose worker dies is given to another one, three times in all; then its error says so and the others go
    on. In a process that is connected to Ray already, that cluster does the work.

    Args:
        items: what to work on, taken only as they are needed; like `work`, they can be pickled where there are workers.
        work: what to do with one.
        workers: who does it; without, all is done in this process, in order.

    Raises:
        BadInputError: for an address at which no cluster answers.
        HybridError: where the workers cannot be started, or their node is lost. What `work` raises, other than a
            HybridError, which is about its item, ends the rest and comes out here.
    """
    workers = workers or Workers()
    if workers.here:
        for item in items:
            yield Outcome(item, *_tried(work, item))
        return
    with _cluster(workers) as cpus:
        yield from _spread(items, work, workers.count or cpus)


def _cluster(workers: Workers) -> AbstractContextManager[int]:
    if connected():
        import ray

        return nullcontext(int(ray.cluster_resources().get("CPU", 1)))
    return started(workers.count or 1) if workers.address is None else joined(workers.address)


def _spread(items: Iterable[Item], work: Callable[[Item], Result], workers: int) -> Iterator[Outcome[Item, Result]]:
    import ray
    from ray import exceptions

    died = (
        exceptions.WorkerCrashedError, exceptions.OutOfMemoryError, exceptions.NodeDiedError, exceptions.ObjectLostError
    )  # fmt: skip
    attempt: Any = ray.remote(max_retries=0, num_cpus=1)(_attempt)
    attempt = attempt.options(enable_task_events=False)  # which the cluster's head would keep
    place, shared = _Place(metadata.version("hybrid-snn"), os.getcwd()), ray.put(work)
    rest, again = iter(items), deque[tuple[Item, int]]()
    # Waited for as futures: a call of Ray's own lets no signal through, and ends this process, with an exit code of its
    # own, where all of Ray was told to end as well.
    given: dict[Future[Any], tuple[Any, Item, int]] = {}
    try:
        while True:
            while len(given) < AHEAD * workers:
                item, tries = again.popleft() if again else (next(rest, _END), 0)
                if item is _END:
                    break
                reference = attempt.remote(shared, item, place)
                given[reference.future()] = (reference, item, tries + 1)
            if not given:
                return
            for future in wait(given, return_when=FIRST_COMPLETED).done:
                _, item, tries = given.pop(future)
                try:
                    yield Outcome(item, *future.result())
                except died as error:
                    if tries < TRIES:
                        again.append((item, tries))
                        continue
                    yield Outcome(item, None, _gave_up(item, error))
    except exceptions.LocalRayletDiedError as error:
        fix = "see that the machine has memory and disk left; what is done is kept, the same command goes on"
        raise HybridError("the workers", "Ray died on this machine", fix) from error
    except SystemExit:
        given.clear()  # whoever ends this process ends the workers
        raise
    finally:
        for reference, _, _ in given.values():
            ray.cancel(reference, force=True)


_END: Any = object()


@dataclass(frozen=True, slots=True)
class _Place:
    """What a worker has to have in common with the process that gives it work."""

    version: str
    folder: str

    def enter(self) -> None:
        """Go where that process is, so that paths mean the same, and keep memory as it does.

        Raises:
            RuntimeError: where that cannot be.
        """
        if metadata.version("hybrid-snn") != self.version:
            found = metadata.version("hybrid-snn")
            raise RuntimeError(f"a node has hybrid-snn {found}, not {self.version}: install the same on all nodes")
        if os.getcwd() != self.folder:
            os.chdir(self.folder)
        keep_freed_memory()


def _attempt(work: Callable[[Item], Result], item: Item, place: _Place) -> tuple[Result | None, HybridError | None]:
    place.enter()
    return _tried(work, item)


def _tried(work: Callable[[Item], Result], item: Item) -> tuple[Result | None, HybridError | None]:
    try:
        return work(item), None
    except HybridError as error:
        return None, error


def _gave_up(item: object, error: Exception) -> WorkerDiedError:
    why = ": memory ran out" if type(error).__name__ == "OutOfMemoryError" else ""
    what = f"the worker died each of the {TRIES} times that it was tried{why}"
    return WorkerDiedError(str(item), what, "free memory, use fewer workers, or leave it out")
