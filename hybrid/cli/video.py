"""Looking into compressed videos and making them: ingest, transcode."""

from __future__ import annotations

import os
from pathlib import Path

import typer
from rich.table import Table

from hybrid.cli.common import JSON, app, err, out, print_json, progress


@app.command()
def ingest(
    video: Path = typer.Argument(help="Video to look into."),
    to: Path = typer.Option(Path("runs/ingest"), "--out", help="Folder for the picture and the page."),
    as_json: bool = JSON,
) -> None:
    """Show what a compressed video holds: GOPs, bits, sparsity; draw raw and accumulated P-frames.

    Example: [bold]hybrid ingest clip.avi --out runs/ingest[/bold]
    """
    from dataclasses import asdict

    from hybrid.report.ingest import write_ingest

    found, png, page = write_ingest(video, to)
    if as_json:
        print_json(asdict(found) | {"figure": str(png), "page": str(page)})
        return
    out.print(
        f"{found.codec}, {found.width}x{found.height}, {found.rate:.4g} frames/s, {found.gops} GOPs", highlight=False
    )
    out.print(f"bits: {found.i_bits:,.0f} per I-frame, {found.p_bits:,.0f} per P-frame", highlight=False)
    table = Table("", "still pixels", "residual zero", "residual quiet", "motion median [px]", "99th percentile [px]")
    for name, s in (("raw", found.raw), ("accumulated", found.accumulated)):
        shares = (s.motion_zero, s.residual_zero, s.residual_quiet)
        table.add_row(name, *(f"{share:.1%}" for share in shares), f"{s.motion_median:.1f}", f"{s.motion_p99:.1f}")
    out.print(table)
    out.print(f"page: {page}", soft_wrap=True, highlight=False)


@app.command()
def transcode(
    source: Path = typer.Argument(help="A video, or a folder of videos."),
    target: Path = typer.Argument(help="The AVI file, or the folder, to write."),
    lines: int = typer.Option(240, min=16, max=4096, help="Height of the picture."),
    gop: int = typer.Option(12, min=1, max=600, help="Frames per GOP, the I-frame included."),
    quantiser: int = typer.Option(5, min=2, max=31, help="2 is near-lossless, 31 is coarse."),
    start: int = typer.Option(0, min=0, help="Frames to leave out at the beginning."),
    workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Processes, for a folder."),
    as_json: bool = JSON,
) -> None:
    """Re-encode to MPEG-4 part 2 without B-frames, whose motion can be traced back exactly.

    A folder is done in parallel; what is there already is skipped, so a stopped run goes on.

    Example: [bold]hybrid transcode videos/ mpeg4/ --workers 4[/bold]
    """
    from hybrid.video.transcode import Format
    from hybrid.video.transcode import transcode as one
    from hybrid.video.transcode_tree import plan_tree, transcode_tree

    form = Format(lines, gop, quantiser, start)
    if not source.is_dir():
        frames = one(source, target, form)
        print_json({"target": str(target), "frames": frames}) if as_json else out.print(f"{target}: {frames} frames")
        return
    total, outcomes = len(plan_tree(source, target)), []
    with progress() as tell:
        for outcome in transcode_tree(source, target, workers, form):
            outcomes.append(outcome)
            tell(outcome.source.name, len(outcomes), total)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    counts = {status: sum(o.status == status for o in outcomes) for status in ("done", "skipped", "failed")}
    if as_json:
        print_json(counts | {"failures": {str(o.source): o.reason for o in failed}})
    else:
        out.print(", ".join(f"{count} {status}" for status, count in counts.items()))
        for outcome in failed:
            err.print(f"failed: {outcome.source}: {outcome.reason}", markup=False, highlight=False)
    if failed:
        raise typer.Exit(1)
