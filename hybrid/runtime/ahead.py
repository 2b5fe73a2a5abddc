"""Prepare the next items in threads while the present one is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def load_ahead(
    items: Iterable[Item], load: Callable[[Item], Loaded], readers: int
) -> Generator[tuple[Item, Callable[[], Loaded]], None, None]:
    """Every item in order, with what gives its loaded form or raises what `load` raised.

    At most `readers` items beside the present one are loaded or being loaded. The first is loaded and used alone:
    what is timed on it is not disturbed.

    Args:
        items: taken only as they are needed.
        load: called in one of the threads.
        readers: threads; without any, an item is loaded when its form is asked for.
    """
    rest = iter(items)
    for item in islice(rest, 1 if readers else None):
        yield item, partial(load, item)
    if not readers:
        return
    pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")
    waiting: deque[tuple[Item, Future[Loaded]]] = deque()
    try:
        for item in rest:
            waiting.append((item, pool.submit(load, item)))
            if len(waiting) > readers:
                first, future = waiting.popleft()
                yield first, future.result
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
