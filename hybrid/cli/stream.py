"""Predictions of a stream on stdout, a JSON line per GOP as it comes."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hybrid.cli.common import INTERRUPTED, err, warn

if TYPE_CHECKING:
    from hybrid.bundle import Bundle
    from hybrid.runtime.journal import Settings

STDIN = "-"


def run_stream(bundle: Bundle, videos: Sequence[str], settings: Settings, *, follow: bool, idle_s: float) -> None:
    """Classify standard input, or one file that is still being written; ends with the stream, or with its reader.

    Raises:
        BadInputError: for anything but one stream, or one that cannot be used.
    """
    from hybrid.errors import BadInputError
    from hybrid.runtime.run import open_classifier
    from hybrid.runtime.stream import classify_stream

    source, stopped = _source(videos, follow, idle_s), False
    done = skipped = 0
    try:
        with source, open_classifier(bundle, settings, warn) as classifier:
            for result in classify_stream(bundle, source, classifier):
                sys.stdout.write(result.model_dump_json(exclude_none=True) + "\n")
                sys.stdout.flush()
                done, skipped = done + 1, skipped + (result.skipped is not None)
    except BrokenPipeError:  # whoever read the lines has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        stopped = True
    except BadInputError:
        if not source.stopped:  # what a stopped stream leaves is no whole video
            raise
    stopped = stopped or source.stopped
    words = f"{done - skipped:,} GOPs classified, {skipped:,} too short"
    err.print(f"stopped: {words}" if stopped else words, markup=False, highlight=False)
    if stopped:
        raise typer.Exit(INTERRUPTED)


class _Input(io.RawIOBase):
    """A stream that ends when Ctrl-C is pressed, since no exception passes through FFmpeg's reader."""

    def __init__(self, source: io.RawIOBase, name: str) -> None:
        super().__init__()
        self.name, self.stopped, self._source = name, False, source

    def readable(self) -> bool:
        """True."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """What is there, up to `size` bytes; nothing at the end, or after Ctrl-C."""
        try:
            return b"" if self.stopped else self._source.read(size) or b""
        except KeyboardInterrupt:
            self.stopped = True
            return b""

    def close(self) -> None:
        """Close the source."""
        self._source.close()
        super().close()


def _source(videos: Sequence[str], follow: bool, idle_s: float) -> _Input:
    from hybrid.errors import BadInputError
    from hybrid.video import Following

    if len(videos) != 1 or (follow and videos[0] == STDIN):
        raise BadInputError("videos", "a stream is one video", "give - alone, or --follow with one file")
    if not follow:
        return _Input(io.FileIO(sys.stdin.fileno(), closefd=False), "standard input")
    try:
        return _Input(Following(Path(videos[0]), idle_s), videos[0])
    except OSError as error:
        raise BadInputError(videos[0], f"it cannot be followed: {error.strerror}", "check the path") from error
