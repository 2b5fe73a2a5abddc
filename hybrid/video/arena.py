"""Reuse of the memory that GOPs lie in.

Fresh memory costs more than filling it: at 1280x720 a GOP takes 100 MB, and the kernel clears every page of it
first. Whoever reads GOP by GOP drops the last one before the next is done, so its memory can serve again.
"""

from __future__ import annotations

import sys

import numpy as np

from hybrid.video.gop import Array

_OWN_REFERENCES = 3
"""What `sys.getrefcount` sees of a buffer that nobody uses: the list, the loop variable and its own argument."""


class Arena:
    """Hands out int16 buffers; one that no array looks into any more is handed out again."""

    def __init__(self) -> None:
        self._buffers: list[Array] = []

    def take(self, size: int) -> Array:
        """An uninitialised buffer of at least `size` values, all its own for as long as a view of it lives."""
        for buffer in self._buffers:
            if len(buffer) >= size and sys.getrefcount(buffer) <= _OWN_REFERENCES:
                return buffer
        # keep no more than what is in use: a buffer that is free and too small will not be needed again
        self._buffers = [b for b in self._buffers if sys.getrefcount(b) > _OWN_REFERENCES]
        fresh: Array = np.empty(size, np.int16)
        self._buffers.append(fresh)
        return fresh
