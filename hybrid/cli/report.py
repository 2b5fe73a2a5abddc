"""Reports of runs: drawn anew, and two of them side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.markup import escape
from rich.table import Table

from hybrid.cli.common import JSON, app, out, print_json

if TYPE_CHECKING:
    from hybrid.report.compare import Comparison
    from hybrid.report.model import Band


@app.command()
def report(
    run: Path = typer.Argument(help="Folder that `hybrid run` wrote, or its report.json."),
    other: Path | None = typer.Argument(None, help="Another run, or a bundle with its prediction, to compare with."),
    to: Path | None = typer.Option(None, "--out", help="HTML file to write; of one run, report.html in its folder."),
    as_json: bool = JSON,
) -> None:
    """Draw a run's report anew, or set two side by side: what differs, and what the constants leave undecided.

    Example: [bold]hybrid report runs/loihi2 runs/tianjic --out both.html[/bold]
    """
    from hybrid.report.compare import compare, write_comparison
    from hybrid.report.side import load_side

    if other is None:
        _draw(run, to, as_json)
        return
    comparison = compare(load_side(run), load_side(other))
    if to is not None:
        write_comparison(comparison, to)
    if as_json:
        print_json(comparison.model_dump(mode="json") | ({} if to is None else {"page": str(to)}))
        return
    _show(comparison)
    if to is not None:
        out.print(f"page: {to}", soft_wrap=True, highlight=False)


def _draw(run: Path, to: Path | None, as_json: bool) -> None:
    from hybrid.cli.run import show_report
    from hybrid.files import make_folder, write_aside
    from hybrid.report.load import load_report
    from hybrid.report.render import to_html, write_pages

    found = load_report(run)
    if to is None:
        page = write_pages(found, run if run.is_dir() else run.parent)
    else:
        page = to
        make_folder(to.parent)
        write_aside(to, to_html(found).encode())
    show_report(found, page, as_json)


def _show(comparison: Comparison) -> None:
    left, right = comparison.left, comparison.right
    for mark, side in (("A", left), ("B", right)):
        out.print(f"{mark}: {side.name}, {side.title} ({side.kind})", markup=False, highlight=False, soft_wrap=True)
    table = Table("figure", "A", "B", "B minus A", "B is", "how known")
    for d in comparison.differences:
        verdict = f"[yellow]{d.verdict}[/yellow]" if d.verdict == "undecided" else d.verdict
        values = (_words(x, d.unit) for x in (d.left, d.right, d.change))
        table.add_row(d.figure, *values, verdict, d.how)
    out.print(table)
    if comparison.common_videos:
        count = len(comparison.labels)
        out.print(f"predictions: {count:,} of {comparison.common_videos:,} common videos differ", highlight=False)
    if comparison.constants:
        names = ", ".join(constant.name.replace("_", " ") for constant in comparison.constants)
        out.print(f"constants that differ: {escape(names)}", highlight=False, soft_wrap=True)


def _words(value: Band | None, unit: str) -> str:
    from hybrid.report.text import band, number

    if value is None:
        return ""
    if unit in ("J", "s"):
        return band(value, unit)
    nominal = f"{number(value.nominal)} {unit}".rstrip()
    return nominal if value.low == value.high else f"{nominal} ({number(value.low)} to {number(value.high)})"
