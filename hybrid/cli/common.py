"""What all commands share: the app, the consoles, common options, progress and errors."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Put a hybrid spiking/ANN video model on a neuromorphic chip plus a GPU: is it right, how fast, how costly?",
)
PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe; a terminal has its own."""
out = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(width=None if sys.stderr.isatty() else PIPED_WIDTH, stderr=True)

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells give it."""

CHIP = typer.Option("loihi2", help="Chip profile, or a TOML file.")
HOST = typer.Option("horowitz45", help="Energy accounting of the ANN part: a profile, or a TOML file.")
LINK = typer.Option("pcie4", help="Link profile, or a TOML file.")
DEVICE = typer.Option("auto", help="Where the ANN part runs: cpu, cuda, or auto.")
PRECISION = typer.Option(
    "fp32", help="Of the ANN part: fp32, bf16, or fp16 on a GPU; fp32 where that gives no finite numbers."
)
WORKERS = typer.Option(None, min=1, help="Processes that work; one without, and on a cluster one per CPU.")
ADDRESS = typer.Option(None, help="HOST:PORT of a Ray cluster that does the work.")
JSON = typer.Option(False, "--json", help="Print one JSON object instead of text.")


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
) -> None:
    State.debug, State.quiet = debug, quiet


class State:
    """The options before the command."""

    debug = False
    quiet = False


@contextmanager
def loading() -> Iterator[None]:
    """Ctrl-C ends the process at once in this block, which only imports: some libraries swallow its exception."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


Tell = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Tell]:
    """A bar on stderr that shows (what, done, of how many); silent where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=State.quiet or not err.is_terminal) as bar:
        task = bar.add_task("start", total=None)
        yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)


def warn(line: str) -> None:
    """One line on stderr about something that went otherwise than asked for."""
    err.print(f"warning: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_json(data: object) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json.dumps(data, indent=1, allow_nan=False) + "\n")
