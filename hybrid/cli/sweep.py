"""Searching over cuts, intervals, chips, links and hosts: sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from hybrid.cli.common import ADDRESS, JSON, WORKERS, app, err, out, print_json, progress

if TYPE_CHECKING:
    from hybrid.errors import HybridError
    from hybrid.sweep import Point


@app.command("sweep")
def sweep_(
    model: str = typer.Argument(help="A checkpoint, a model as PACKAGE.MODULE:FACTORY, or a NIR file."),
    calibration: Path | None = typer.Option(None, "--calibrate", help="A real clip; for a factory, a .npz file."),
    weights: Path | None = typer.Option(None, help="Of a factory's model: its weights, a safetensors file."),
    shapes: list[str] = typer.Option([], "--input-shape", help="Of a user's model's input, as for partition."),
    splits: list[str] = typer.Option(
        [], "--split", help="Ops on the chip: names with commas, each with all that feeds it. Default: every cut."
    ),
    intervals: list[int] = typer.Option(
        [], "--interval", help="P-frames before the spiking part is read. Default: the model's, and its halves."
    ),
    chips: list[str] = typer.Option(["loihi2"], "--chip", help="Chip profile, or a TOML file."),
    links: list[str] = typer.Option(["pcie4"], "--link", help="Link profile, or a TOML file."),
    hosts: list[str] = typer.Option(["h100"], "--host", help="Host profile, or a TOML file."),
    data: Path | None = typer.Option(
        None, help="Labelled clips: a folder of folders, or a CSV of path,label; for a user's model a .npz file."
    ),
    to: Path = typer.Option(Path("runs/sweep"), "--out", help="Folder for points and page."),
    workers: int | None = WORKERS,
    address: str | None = ADDRESS,
    as_json: bool = JSON,
) -> None:
    """Price every cut at every interval on every chip, link and host, and mark what no other one beats.

    Options with a default can be repeated. A sweep that was stopped goes on where it was.

    Example: [bold]hybrid sweep model.safetensors --calibrate clip.avi --chip loihi2 --chip loihi1 --data clips[/bold]
    """
    from hwsim.chip import load
    from hybrid.executor import Workers
    from hybrid.platform import load_host, load_link
    from hybrid.sweep import Axes, Source, front_of, sweep
    from hybrid.sweep.page import write_page
    from hybrid.sweep.store import write_table

    axes = Axes(
        tuple(map(load, dict.fromkeys(chips))), tuple(map(load_link, dict.fromkeys(links))),
        tuple(map(load_host, dict.fromkeys(hosts))), tuple(splits), tuple(intervals),
    )  # fmt: skip
    source = Source(model, weights, tuple(shapes), calibration, data)
    lost: list[HybridError] = []
    with progress() as tell:
        points = sweep(source, axes, to, Workers(workers, address), tell, lost.append)
        front = front_of(points)
        table, page = write_table(points, front, to), write_page(points, front, to)
    for error in lost:
        err.print(f"left out: {error.where}: {error.what}", style="red", markup=False, highlight=False)
    if as_json:
        best = [point.key for point in front]
        rows = [point.model_dump(mode="json") for point in points]
        print_json({"points": rows, "front": best, "table": str(table), "page": str(page)})
    else:
        out.print(_table(front))
        unfit = [point for point in points if point.reason]
        for chip, reason in dict.fromkeys((point.chip, point.reason) for point in unfit):
            out.print(f"does not fit {chip}: {reason}", markup=False, highlight=False)
        out.print(f"{len(points)} points, {len(front)} on the front, {len(unfit)} that do not fit", highlight=False)
        out.print(f"table: {table}\npage: {page}", soft_wrap=True, highlight=False)
    if lost:
        raise typer.Exit(1)


def _table(front: Sequence[Point]) -> Table:
    from hybrid.report.text import band

    table = Table("cut after", "interval", "chip", "link", "host", "energy per GOP", "latency per GOP", "cores",
                  "link bytes", "top-1", title="points that none beats")  # fmt: skip
    for p in sorted(front, key=lambda p: p.energy_j.nominal if p.energy_j else 0.0):
        table.add_row(
            p.split, str(p.interval), p.chip, p.link, p.host, band(p.energy_j, "J") if p.energy_j else "",
            band(p.latency_s, "s") if p.latency_s else "not known", str(p.cores), f"{p.link_bytes:,}",
            "" if p.top1 is None else f"{p.top1:.1%} of {p.samples}",
        )  # fmt: skip
    return table
