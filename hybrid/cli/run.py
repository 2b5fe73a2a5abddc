"""Running a bundle: run."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hybrid.cli.common import (
    ADDRESS,
    DEVICE,
    INTERRUPTED,
    JSON,
    PRECISION,
    WORKERS,
    app,
    err,
    loading,
    out,
    print_json,
    progress,
    warn,
)
from hybrid.cli.stream import STDIN, run_stream
from hybrid.cli.user import run_arrays

if TYPE_CHECKING:
    from hybrid.report import Report

FAILURES = 20
"""Failed videos that the terminal lists."""


@app.command()
def run(
    bundle: Path = typer.Argument(help="Folder that `hybrid compile` wrote."),
    videos: list[str] = typer.Argument(
        None, help="Videos, folders of them, or @list.txt; for a user's model, one .npz or safetensors file."
    ),
    lists: list[Path] = typer.Option([], "--list", help="A text file with one video or folder a line."),
    to: Path = typer.Option(Path("runs/run"), "--out", help="Folder for results and report."),
    backend: str = typer.Option(
        "hwsim", help="What runs the spiking part: hwsim, torch, reference, lava-fused, lava-stock, netx."
    ),
    check: list[str] = typer.Option([], "--check", help="Backends to compare with, bit for bit."),
    device: str = DEVICE,
    precision: str = PRECISION,
    repeats: int = typer.Option(7, min=1, help="Timed runs of the ANN part, on the first video."),
    readers: int = typer.Option(2, min=0, help="Threads that prepare the next videos, without workers."),
    workers: int | None = WORKERS,
    address: str | None = ADDRESS,
    follow: bool = typer.Option(
        False, "--follow", help="The one video is still being written: a prediction per GOP as it comes."
    ),
    idle: float = typer.Option(10.0, min=0.1, help="Of --follow: seconds without growth after which the video ends."),
    fresh: bool = typer.Option(False, "--fresh", help="Replace what an earlier run left in --out."),
    as_json: bool = JSON,
) -> None:
    """Classify videos with a bundle, account for every event, and write a report.

    Each result is written as it comes: the same command goes on where a stopped run was. A video that fails is
    reported, and the others are finished. A user's model writes its outputs to outputs.npz.

    With - for the videos (standard input), or --follow, one JSON line per GOP goes to stdout as it comes, and no
    file is written.

    Example: [bold]hybrid run runs/bundle clips/ --out runs/clips --check lava-fused[/bold]
    """
    with loading():
        from hybrid.bundle import load_bundle
        from hybrid.executor import Workers
        from hybrid.model.config import ModelConfig
        from hybrid.runtime.folder import run_to_folder
        from hybrid.runtime.journal import Journal
        from hybrid.runtime.run import Help, settings_of
        from hybrid.runtime.sources import find_videos

    loaded = load_bundle(bundle)
    if not isinstance(loaded.manifest.model, ModelConfig):
        files = [Path(name) for name in videos or ()]
        run_arrays(loaded, files, to, backend=backend, check=tuple(check), device=device, as_json=as_json)
        return
    settings = settings_of(loaded, backend, check, device, repeats, precision)
    if follow or STDIN in (videos or ()):
        run_stream(loaded, videos or (), settings, follow=follow, idle_s=idle)
        return
    found = find_videos(videos or (), lists)
    journal = Journal(to, settings, fresh=fresh)
    crew = Workers(workers, address)
    helped = None if crew.here or len(found) == 1 else Help(bundle, crew)
    try:
        with progress() as tell:
            report, page = run_to_folder(
                loaded, found, settings, to, journal=journal, readers=readers, helped=helped, tell=tell, warn=warn
            )
    except KeyboardInterrupt:
        kept = f"{journal.finished} finished videos are kept in {to}; the same command goes on from there"
        err.print(f"stopped: {kept}", markup=False, highlight=False, soft_wrap=True)
        journal.close()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # everything is on disk, and taking torch and the readers down takes over a second
    finally:
        journal.close()
    show_report(report, page, as_json)
    if report.failures:
        raise typer.Exit(1)


def show_report(report: Report, page: Path, as_json: bool) -> None:
    """The report's verdict and where its page is; failed videos go to stderr."""
    for failure in report.failures[:FAILURES]:
        err.print(f"failed: {failure.video}: {failure.what}", style="red", markup=False, highlight=False)
    if len(report.failures) > FAILURES:
        err.print(f"and {len(report.failures) - FAILURES:,} more failed; the report lists all", highlight=False)
    if as_json:
        print_json(report.model_dump(mode="json") | {"report": str(page)})
        return
    from hybrid.report.text import summary

    out.print(summary(report), highlight=False)
    out.print(f"report: {page}", soft_wrap=True, highlight=False)
