"""Write a report as JSON, as one HTML file that needs no network, as Markdown and as a table of videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hybrid.files import make_folder, write_aside
from hybrid.report import figures
from hybrid.report.cut import draw
from hybrid.report.figures import Bar
from hybrid.report.load import REPORT
from hybrid.report.model import Report
from hybrid.report.tables import SPREADS, to_csv, to_markdown
from hybrid.report.text import number, si

ROWS = 2000
"""Videos in the table of the page; videos.csv has all."""
MANY = 3
"""Videos from which on their spread is shown."""
COLUMNS = (
    ("video", False), ("prediction", False), ("probability", True), ("exact", False), ("J", True), ("response", True),
    ("synops", True), ("spikes", True),
)  # fmt: skip
"""Of the table of videos: heading, and whether it holds numbers."""


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write `report.json`, `report.html`, `report.md` and `videos.csv`, each aside and then renamed.

    Returns:
        The paths of the first two.
    """
    make_folder(folder)
    data = folder / REPORT
    write_aside(data, (json.dumps(report.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode())
    return data, write_pages(report, folder)


def write_pages(report: Report, folder: Path) -> Path:
    """Write all but `report.json`; returns the path of the page."""
    page = folder / "report.html"
    write_aside(page, to_html(report).encode())
    write_aside(folder / "report.md", to_markdown(report).encode())
    write_aside(folder / "videos.csv", to_csv(report).encode())
    return page


def to_html(report: Report) -> str:
    """The page, with everything it needs inside."""
    stages = report.stages_s or report.videos[0].stages_s
    return template("report.html.j2").render(
        r=report,
        views=report.model["views"],
        many=len(report.videos) >= MANY,
        fallbacks=sum(video.precision != report.precision for video in report.videos),
        called=len({video.prediction.label for video in report.videos}),
        spread=[(title, unit, report.spread[name]) for name, (title, unit) in SPREADS.items() if name in report.spread],
        energies=figures.histogram([video.energy_j.nominal for video in report.videos], "J"),
        responses=figures.histogram([video.latency_s.response.nominal for video in report.videos], "s"),
        rows=report.videos[:ROWS],
        failures=report.failures[:ROWS],
        columns=COLUMNS,
        slowest=max(stages, key=lambda stage: stages[stage].nominal),
        host_title=report.model["accounting"],
        cut=draw(report.plan),
        counts=list(report.counts.model_dump().items()),
        step_bars=figures.steps(report),
        figures=figures,
    )


def template(name: str) -> Template:
    """One of our templates, ready to be filled."""
    return _environment().get_template(name)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """Keeps the templates that it compiled, which takes longer than to fill them."""
    environment = Environment(
        loader=PackageLoader("hybrid.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals |= {"si": si, "number": number, "name": lambda path: Path(path).name, "ends": _ends}
    return environment


def _ends(columns: Sequence[Bar]) -> tuple[str, ...]:
    """What is written below a histogram: where its first and last columns begin."""
    return tuple(dict.fromkeys((columns[0].label, columns[-1].label)))
