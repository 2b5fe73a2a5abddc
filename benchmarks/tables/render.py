"""Write the tables as Markdown, CSV and one HTML file that needs no network, and figure 6 as PNG."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from benchmarks.tables.figures import DATA, panel, picture, points
from benchmarks.tables.records import Table, flat, text, without_empty
from benchmarks.tables.rows import Row
from hybrid.files import write_aside

ONLY_CSV = ("protocol", "filled in", "source")
"""Columns that the Markdown and the page show below the table, or not at all."""


def write_all(tables: list[Table], rows: list[Row], to: Path) -> list[Path]:
    """Write every file into `to`; returns their paths."""
    to.mkdir(parents=True, exist_ok=True)
    files = {f"{table.name}.csv": as_csv(table).encode() for table in tables}
    files["tables.md"] = "\n".join(as_markdown(table) for table in tables).encode()
    files["tables.html"] = as_html(tables, rows).encode()
    if any(points(rows, data) for data in DATA):
        files["figure-6.png"] = picture(rows)
    for name, data in files.items():
        write_aside(to / name, data)
    return [to / name for name in files]


def as_csv(table: Table) -> str:
    """All columns, numbers unrounded, a range as three of them."""
    out = io.StringIO()
    records = [flat(record) for record in table.records]
    writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def as_markdown(table: Table) -> str:
    """The table, then per row what it was counted on and whence it comes."""
    heads, cells = columns(table)
    lines = [f"## {table.title}", "", table.note, "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([*lines, "", *(f"- {line}" for line in remarks(table)), ""])


def columns(table: Table) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the columns that are shown."""
    records = without_empty(table.records)
    heads = [key for key in records[0] if key not in ONLY_CSV]
    return heads, [[text(record[key]) for key in heads] for record in records]


def remarks(table: Table) -> list[str]:
    """Per method: protocol, source, and what had to be filled in."""
    found = []
    for record in table.records:
        if "source" in record:
            filled = f" † {record['filled in']}." if record["filled in"] else ""
            found.append(f"{record['method']}: {record['protocol']}. {record['source']}.{filled}")
    return found


def as_html(tables: list[Table], rows: list[Row]) -> str:
    """The page, with the plotting library inside."""
    panels = [(data, panel(rows, data)) for data in DATA if points(rows, data)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = [(table, *columns(table), remarks(table)) for table in tables]
    return environment.get_template("page.html.j2").render(tables=shown, panels=panels, plotly=get_plotlyjs())
