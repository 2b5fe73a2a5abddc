"""Clips as tensors on a device, read and sent there ahead of their use, and how long the user of them waited."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from hybrid.runtime.ahead import load_ahead

Item = TypeVar("Item")
Tensors = tuple[Tensor, ...]


class Feed:
    """Items in order as tensors on a device; iterate once.

    Args:
        items: such as paths.
        load: makes tensors of one, in a reader's thread.
        device: where they go. To a GPU they go from pinned memory, in the reader's thread and on a stream of its
            own, so that neither reading nor sending holds up the device.
        readers: threads; without any, the user of the tensors waits for each.

    Attributes:
        waited_s: that the user of the tensors waited, from the second item on.
        seconds: from the moment the second item was asked for to the end.
        count: items that `seconds` holds.
    """

    def __init__(
        self, items: Iterable[Item], load: Callable[[Item], Tensors], device: torch.device, readers: int
    ) -> None:
        self.waited_s, self.seconds, self.count = 0.0, 0.0, 0
        self._loading = load_ahead(items, lambda item: _sent(load(item), device), readers)

    @property
    def waiting(self) -> float:
        """Share of the time in which the device had nothing to do; the first item, which nothing overlaps, is left out.

        Zero is a perfect overlap.
        """
        return self.waited_s / self.seconds if self.seconds else 0.0

    def __iter__(self) -> Iterator[Tensors]:
        """The tensors of every item; raises what `load` raised."""
        first, begin = True, 0.0
        try:
            while True:
                asked = time.perf_counter()
                following = next(self._loading, None)
                if following is None:
                    return
                tensors = following[1]()
                if not first:
                    begin = begin or asked
                    self.waited_s += time.perf_counter() - asked
                    self.count += 1
                yield tensors
                first = False
                if begin:
                    self.seconds = time.perf_counter() - begin
        finally:
            self._loading.close()


def _sent(tensors: Tensors, device: torch.device) -> Tensors:
    if device.type != "cuda":
        return tensors
    stream = torch.cuda.Stream(device)
    with torch.cuda.stream(stream):
        sent = tuple(x.pin_memory().to(device, non_blocking=True) for x in tensors)
    stream.synchronize()
    return sent
