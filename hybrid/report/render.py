"""Write a report as JSON and as one HTML file that needs no network."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from hybrid.files import write_aside
from hybrid.report import figures
from hybrid.report.cut import draw
from hybrid.report.model import Report
from hybrid.report.text import si


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json` and `report.html` into `folder`, each aside and then renamed; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    data, page = folder / "report.json", folder / "report.html"
    write_aside(data, (json.dumps(report.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode())
    write_aside(page, to_html(report).encode())
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
