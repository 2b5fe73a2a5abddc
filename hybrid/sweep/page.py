"""The page of a sweep: energy against latency, one HTML file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from hybrid.files import write_aside
from hybrid.report.model import Band
from hybrid.report.text import band, si
from hybrid.sweep.record import Point

PAGE = "sweep.html"
COLOURS = ("#0f9d8a", "#5b6ee1", "#e0a526", "#c2557f", "#8f6bd1", "#5f8f3a", "#d0693a", "#4a90b8")
SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star", "pentagon", "hexagon",
    "triangle-left", "triangle-right", "hourglass", "bowtie", "star-diamond", "hexagram",
)  # fmt: skip
RING = "#d93025"
SMALL, LARGE = 7, 15
"""Marker sizes of the shortest and the longest interval."""


def write_page(points: Sequence[Point], front: Sequence[Point], folder: Path) -> Path:
    """Write `sweep.html`, aside and then renamed; returns its path."""
    environment = Environment(
        loader=PackageLoader("hybrid.sweep"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = [point for point in points if point.energy_j is not None and point.latency_s is not None]
    reasons = sorted({(point.chip, point.split, point.reason) for point in points if point.reason})
    html = environment.get_template("sweep.html.j2").render(
        points=points, front=front, shown=shown, reasons=reasons, measured=any(p.top1 is not None for p in points),
        band=band, plotly=get_plotlyjs() if shown else "", figure=draw(shown, front) if shown else "",
    )  # fmt: skip
    write_aside(folder / PAGE, html.encode())
    return folder / PAGE


def draw(points: Sequence[Point], front: Sequence[Point]) -> str:
    """Energy against latency as a Plotly div: colour by chip, symbol by split, size by interval.

    The front is ringed and has its ranges as bars; the axes show the nominal values first.

    Args:
        points: with energy and latency.
        front: of them, what no other one beats.
    """
    figure = go.Figure()
    colours = dict(zip(dict.fromkeys(p.chip for p in points), cycle(COLOURS), strict=False))
    symbols = dict(zip(dict.fromkeys(p.split for p in points), cycle(SYMBOLS), strict=False))
    longest = max(p.interval for p in points)
    for chip, colour in colours.items():
        own = [p for p in points if p.chip == chip]
        figure.add_scatter(
            **_places(own), mode="markers", showlegend=False, text=[_hover(p) for p in own],
            hovertemplate="%{text}<extra></extra>",
            marker={"color": colour, "symbol": [symbols[p.split] for p in own],
                    "size": [SMALL + (LARGE - SMALL) * p.interval / longest for p in own]},
        )  # fmt: skip
    best = [p for p in front if p.latency_s is not None]
    figure.add_scatter(
        **_places(best), error_x=_bars([p.latency_s for p in best]), error_y=_bars([p.energy_j for p in best]),
        mode="markers", name="front, with ranges", hoverinfo="skip",
        marker={"symbol": "circle-open", "size": LARGE + 7, "color": RING, "line": {"width": 1.5}},
    )  # fmt: skip
    for group, entries in (("chip", colours), ("cut after", symbols)):
        for i, (name, look) in enumerate(entries.items()):
            marker = {"size": 10, "color": look} if group == "chip" else {"size": 9, "color": "#80868b", "symbol": look}
            title = {"text": group} if i == 0 else None
            figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker=marker, hoverinfo="skip",
                               legendgroup=group, legendgrouptitle=title)  # fmt: skip
    return _div(figure, points)


def _div(figure: go.Figure, points: Sequence[Point]) -> str:
    """The figure in the reports' style, with buttons that show the nominal values or the whole ranges."""
    places = _places(points)
    near = {f"{axis}axis.range": _around(places[axis]) for axis in ("x", "y")}
    whole = {f"{axis}axis.autorange": True for axis in ("x", "y")}
    buttons = [
        {"label": label, "method": "relayout", "args": [view]}
        for label, view in (("nominal values", near), ("whole ranges", whole))
    ]
    figure.update_layout(
        height=620, margin={"l": 10, "r": 10, "t": 50, "b": 40}, legend={"groupclick": "toggleitem"},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#80868b"},
        updatemenus=[{"type": "buttons", "direction": "right", "buttons": buttons, "showactive": False, "x": 0, "y": 1,
                      "xanchor": "left", "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"}],
    )  # fmt: skip
    grid = {"gridcolor": "rgba(128,134,139,0.25)", "zeroline": False, "type": "log", "tickformat": ".3~s"}
    figure.update_xaxes(title="latency of a GOP [s]", automargin=True, range=near["xaxis.range"], **grid)
    figure.update_yaxes(title="energy of a GOP [J]", automargin=True, range=near["yaxis.range"], **grid)
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id="figure-sweep", config=config))


def _places(points: Sequence[Point]) -> dict[str, list[float]]:
    return {
        "x": [p.latency_s.nominal for p in points if p.latency_s is not None],
        "y": [p.energy_j.nominal for p in points if p.energy_j is not None],
    }


def _around(values: Sequence[float]) -> list[float]:
    """Ends of a logarithmic axis a little beyond the values."""
    low, high = (math.log10(max(x, 1e-15)) for x in (min(values), max(values)))
    space = max(0.08 * (high - low), 0.002)
    return [low - space, high + space]


def _hover(point: Point) -> str:
    right = "" if point.top1 is None else f"<br>top-1 {point.top1:.1%} on {point.samples}"
    energy = "" if point.energy_j is None else f"<br>{band(point.energy_j, 'J')}"
    latency = "" if point.latency_s is None else f"<br>{band(point.latency_s, 's')}"
    return (
        f"<b>{point.split}</b><br>{point.chip}, {point.link}, {point.host}; read after {point.interval}"
        f"{energy}{latency}<br>{point.cores} cores, {si(point.link_bytes or 0, 'B')} over the link{right}"
    )


def _bars(bands: Sequence[Band | None]) -> dict[str, object]:
    known = [x for x in bands if x is not None]
    return {
        "type": "data", "symmetric": False, "thickness": 0.8, "width": 3, "color": "rgba(217,48,37,0.45)",
        "array": [x.high - x.nominal for x in known], "arrayminus": [x.nominal - x.low for x in known],
    }  # fmt: skip
