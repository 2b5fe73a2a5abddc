"""Reuse of the memory that GOPs lie in.

Fresh memory costs more than filling it, since the kernel clears every page of it first. Whoever reads GOP by GOP
drops the last one before the next is done, so its memory can serve again, for the next video too.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

from hybrid.video.gop import Array
from hybrid.video.lanes import LINE

_OWN_REFERENCES = 3
"""What `sys.getrefcount` sees of a buffer that nobody uses: its entry, the loop variable and its own argument."""


class Arena:
    """Hands out int16 buffers; one that no array looks into any more is handed out again. Safe between threads.

    Args:
        spare: how many unused buffers are kept.
    """

    def __init__(self, spare: int) -> None:
        self._buffers: list[tuple[Array, int]] = []  # each with where its first whole cache line begins
        self._spare, self._lock = spare, threading.Lock()

    def take(self, size: int) -> Array:
        """`size` uninitialised values from the beginning of a cache line, its own for as long as a view of it lives."""
        with self._lock:
            free = 0
            for i in reversed(range(len(self._buffers))):
                buffer, start = self._buffers[i]
                if sys.getrefcount(buffer) > _OWN_REFERENCES:
                    continue
                if size <= len(buffer) - LINE <= 4 * size:
                    return buffer[start : start + size]
                free += 1
                if free > self._spare:
                    del self._buffers[i]
            fresh: Array = np.empty(size + LINE, np.int16)
            start = -fresh.ctypes.data % LINE // fresh.itemsize
            self._buffers.append((fresh, start))
            return fresh[start : start + size]


SHARED = Arena(spare=2)
"""For GOPs of small pictures, whichever video they are of."""
SHARED_VALUES = 2**23
"""Largest buffer (16 MB) that outlives its video."""
