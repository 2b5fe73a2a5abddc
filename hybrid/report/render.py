"""Write a report as JSON and as one HTML file that needs no network."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from hybrid.report import figures
from hybrid.report.cut import draw
from hybrid.report.model import Report
from hybrid.report.text import si


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html` into `folder`, each aside and then renamed; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "report.json", folder / "report.html"
    _write(data, json.dumps(report.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")
    _write(page, to_html(report))
    return data, page


def to_html(report: Report) -> str:
    """The page, with the plotting library inside."""
    environment = Environment(
        loader=PackageLoader("hybrid.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    stages = report.videos[0].stages_s
    return environment.get_template("report.html.j2").render(
        r=report,
        si=si,
        name=lambda path: Path(path).name,
        plotly=get_plotlyjs(),
        views=report.model["views"],
        slowest=max(stages, key=lambda stage: stages[stage].nominal),
        host_title=report.model["accounting"],
        cut=draw(report.plan),
        counts=list(report.counts.model_dump().items()),
        figures={
            "energy": figures.energy(report),
            "timeline": figures.timeline(report),
            "steps": figures.steps(report),
            "cores": figures.cores(report),
        },
    )


def _write(path: Path, text: str) -> None:
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(aside, 0o644)
        os.replace(aside, path)
    finally:
        Path(aside).unlink(missing_ok=True)
