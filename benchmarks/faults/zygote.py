"""Starts commands by fork, from a process that has imported the libraries: a kill then falls into the work.

Imports take most of a short command's time. One line of JSON on standard input starts one command; two lines come
back: its process id when it runs, and its exit code when it has ended, negative for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from typing import Any, NoReturn


def main() -> None:
    """Serve until standard input ends."""
    # only what starts no thread: a fork would not have it
    import lightning  # noqa: F401

    import hybrid.compile
    import hybrid.runtime.folder
    import hybrid.sweep
    import hybrid.training.train  # noqa: F401

    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            begin(json.loads(line))
        say(child)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def begin(order: dict[str, Any]) -> NoReturn:
    """Become the command, in a session of its own as a cold start has it."""
    os.setsid()
    for stream, target in ((0, os.devnull), (1, order["stdout"]), (2, order["stderr"])):
        os.dup2(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644), stream)
    os.environ.update(order["environment"])
    tempfile.tempdir = None  # found before, in another environment
    os.chdir(order["folder"])
    sys.argv = ["hybrid", *order["arguments"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code: object = 1
    try:
        from hybrid.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except KeyboardInterrupt:
        code = 130
    finish(code)


def finish(code: object) -> NoReturn:
    """End as an interpreter does: its exit handlers, then what is still to be written."""
    import atexit
    import multiprocessing.util

    multiprocessing.util._exit_function()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def say(word: object) -> None:
    """One line to whoever started this."""
    os.write(1, (json.dumps(word) + "\n").encode())


if __name__ == "__main__":
    main()
