"""Keep the memory of freed arrays in the process.

glibc gives large arrays back to the system when they are freed, and the next one is made of fresh pages, which the
kernel must find and clear: writing a recording of 20 MB then takes twice as long, a step of training likewise.
"""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt` (malloc.h)."""
_ALWAYS = 2**30
"""Larger than any array: 1 GiB."""


def keep_freed_memory() -> bool:
    """Tell glibc so; whether it obeyed. Where there is another C library, or the user's own settings, nothing is done.

    The process then stays as large as it was at its peak.
    """
    if platform.libc_ver()[0] != "glibc" or {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} & set(os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_MMAP_THRESHOLD, _ALWAYS), mallopt(_TRIM_THRESHOLD, 2**31 - 1)])
