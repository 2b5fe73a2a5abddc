"""A file that is still being written, as a stream for `hybrid.video.read`."""

from __future__ import annotations

import io
import time
from pathlib import Path

POLL_S = 0.05


class Following(io.RawIOBase):
    """Reads a growing file to its end and waits there for more.

    The stream ends when the file has not grown for `idle_s` seconds. It cannot seek, so the container must be one
    that can be read from front to back (AVI, MPEG program and transport streams, Matroska, FLV; not MP4 while it is
    being written).

    Args:
        path: the file.
        idle_s: seconds without growth after which the stream ends.
    """

    _file: io.BufferedIOBase = io.BytesIO()  # what is closed where the file cannot be opened

    def __init__(self, path: str | Path, idle_s: float) -> None:
        super().__init__()
        self.name = str(path)
        self._file = Path(path).open("rb")  # noqa: SIM115 (closed in close)
        self._idle_s = idle_s

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; empty only when the file has stopped growing."""
        deadline = time.monotonic() + self._idle_s
        while not (data := self._file.read(size)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
