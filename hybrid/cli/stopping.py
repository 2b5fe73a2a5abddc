"""Ctrl-C and SIGTERM end a command, whatever library is at work: none of them may swallow the exception for good."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from hybrid.workers import follow

AGAIN_S = 3.0
"""After which time a command that was told to end, and still works, is told again."""
TRIES = 4
"""How often it is told before the process ends without another word; all files survive that (docs/faults.md)."""


class Stop:
    """What a command was told.

    Attributes:
        code: exit code of a command that was told to end, 128 and the signal's number as shells give it; else None.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self._ending, self._hook = False, sys.unraisablehook
        self._process, self._main = os.getpid(), threading.main_thread().ident or 0

    def listen(self) -> None:
        """Hear SIGTERM, and Ctrl-C unless whoever started us wants it ignored, as shells do for background jobs."""
        sys.unraisablehook = self._swallowed
        if follow():  # Lightning kills the first process when another one ends before it: let it end first
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, self._end_later)
            return
        signal.signal(signal.SIGTERM, self._hear)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._hear)

    def end(self) -> None:
        """The command has ended, well or not: what is left takes its time, but not for ever."""
        self._ending = True
        if self.code is None:
            sys.unraisablehook = self._hook

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._process:  # a fork, such as a loader of torch, has a parent that looks after it
            if self.code is None:
                # not threading.Thread: its locks may be held by what the signal came into
                _thread.start_new_thread(self._insist, (number,))
            self.code = 128 + number
            if self._ending:
                return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    def _end_later(self, number: int, frame: FrameType | None) -> None:
        self.code = 128 + number  # what the end of the others breaks here meanwhile is no news
        _thread.start_new_thread(_wait_and_end, (self.code,))

    def _insist(self, number: int) -> None:
        for _ in range(TRIES):
            time.sleep(AGAIN_S)
            signal.pthread_kill(self._main, number)
        os._exit(128 + number)

    def _swallowed(self, error: Any) -> None:
        """An exception in a destructor or a callback goes no further; ours, and what it causes, is no news."""
        if self.code is None:
            self._hook(error)


def _wait_and_end(code: int) -> None:
    time.sleep(AGAIN_S)
    os._exit(code)
