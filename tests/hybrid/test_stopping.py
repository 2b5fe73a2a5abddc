"""A command that is told to end ends, whatever a library makes of the exception."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hybrid
from hybrid.workers import LAUNCHER

SCRIPT = """
import sys, time
from hybrid import cli
from hybrid.cli import stopping
from hybrid.cli.common import app
stopping.AGAIN_S = 0.3

class Destroyed:
    def __del__(self):
        time.sleep(1)
        1 / 0

@app.command()
def swallow(times: int) -> None:
    print("ready", flush=True)
    for _ in range(times):
        try:
            time.sleep(60)
        except BaseException:
            pass
    time.sleep(60)

@app.command()
def rename() -> None:
    print("ready", flush=True)
    try:
        time.sleep(60)
    except BaseException as error:
        raise RuntimeError("the library was interrupted") from error

@app.command()
def leave() -> None:
    print("ready", flush=True)
    try:
        time.sleep(60)
    except BaseException:
        sys.exit(1)

@app.command()
def break_later() -> None:
    print("ready", flush=True)
    time.sleep(0.25)
    raise RuntimeError("the first process is gone")

@app.command()
def destroy() -> None:
    print("ready", flush=True)
    Destroyed()
    time.sleep(60)

cli.main()
"""


def run(*arguments, number, **variables):
    environment = os.environ | {"PYTHONPATH": str(Path(hybrid.__file__).parents[1])} | variables
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        began = time.monotonic()
        process.send_signal(number)
        _, text = process.communicate(timeout=30)
    return process.returncode, time.monotonic() - began, text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("what", ["rename", "leave", "destroy"])
def test_an_exception_that_a_library_makes_another_one_of_still_gives_the_signals_code(what, number):
    code, _, text = run(what, number=number)
    assert code == 128 + number
    assert "Traceback" not in text
    assert "bug" not in text


def test_what_breaks_in_a_process_that_was_told_to_end_with_the_first_one_is_no_news():
    code, _, text = run("break-later", number=signal.SIGTERM, LOCAL_RANK="1", **{LAUNCHER: str(os.getpid())})
    assert (code, text) == (143, "")


def test_a_signal_that_is_swallowed_comes_again():
    code, took, _ = run("swallow", "2", number=signal.SIGINT)
    assert code == 130
    assert took > 0.5, "it was not swallowed"


def test_a_command_that_swallows_everything_is_ended():
    code, took, _ = run("swallow", "1000", number=signal.SIGTERM)
    assert code == 143
    assert took < 10
