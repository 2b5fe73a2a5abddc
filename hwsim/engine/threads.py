"""Threads for the shares of a layer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

Each = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]
"""Like `map`, in threads: results come in no order."""


@contextmanager
def in_threads() -> Iterator[Each]:
    """As many threads as torch has, this one among them, since waking another one takes as long as many kernels."""
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(max(1, threads - 1)) as pool:  # none is started before it is needed

        def each(work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
            left, found = deque(items), []

            def take() -> None:
                while True:
                    try:
                        item = left.popleft()
                    except IndexError:
                        return
                    found.append(work(item))

            others = [pool.submit(take) for _ in range(min(threads, len(left)) - 1)]
            try:
                take()
            finally:
                left.clear()  # after an error nobody begins another one
            for other in others:
                other.result()
            return found

        yield each
