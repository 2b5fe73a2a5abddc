"""Figure 6: accuracy as the paper states it against energy as we count it, as a picture and interactive."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from plotly.graph_objects import Figure as Interactive

from benchmarks.tables.rows import CONFIGS, Row

DATA = ("UCF-101", "K-400")
COLOURS = {"ours": "#0f9d8a", "compressed": "#e0a526", "raw + compressed": "#c2557a", "raw": "#5b6ee1"}
SOFT = "rgba(128,134,139,0.25)"


def group(row: Row) -> str:
    """Whose colour a row has."""
    if row.method.name in CONFIGS:
        return "ours"
    return row.stated.modality if row.stated.modality in COLOURS else "compressed"


def points(rows: list[Row], data: str) -> list[Row]:
    """The rows with an accuracy on a data set, each method once."""
    found = {row.method.name: row for row in reversed(rows) if data in row.stated.accuracy}
    return list(found.values())


def picture(rows: list[Row]) -> bytes:
    """A PNG, one panel per data set."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    for data, axes in zip(DATA, figure.subplots(1, len(DATA)), strict=True):
        for row in points(rows, data):
            axes.scatter(row.joules, row.stated.accuracy[data], color=COLOURS[group(row)], s=46, zorder=2)
            axes.annotate(row.method.name, (row.joules, row.stated.accuracy[data]), xytext=(0, 7),
                          textcoords="offset points", fontsize=8, ha="center")  # fmt: skip
        axes.set(xscale="log", xlabel="J per video, as we count", ylabel=f"{data} top-1 [%], as the paper states")
        axes.grid(alpha=0.25)
        axes.margins(x=0.12, y=0.09)
    kinds = [Line2D([], [], color=c, marker="o", ls="", label=kind) for kind, c in COLOURS.items()]
    figure.legend(handles=kinds, loc="outside lower center", ncols=len(kinds), frameon=False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=130, metadata={"Software": None})
    return out.getvalue()


def panel(rows: list[Row], data: str) -> str:
    """A Plotly div of one data set, without the library."""
    figure = Interactive()
    for kind, colour in COLOURS.items():
        of_kind = [row for row in points(rows, data) if group(row) == kind]
        if not of_kind:
            continue
        figure.add_scatter(
            x=[row.joules for row in of_kind], y=[row.stated.accuracy[data] for row in of_kind], name=kind,
            mode="markers+text", text=[row.method.name for row in of_kind], textposition="top center",
            marker={"color": colour, "size": 10}, customdata=[[row.stated.joules] for row in of_kind], cliponaxis=False,
            hovertemplate="%{text}<br>%{y:.1f} %<br>%{x:.3s}J, paper %{customdata[0]:.3s}J<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(
        type="log", title="J per video, as we count", gridcolor=SOFT, zeroline=False, dtick="D2", tickformat="~r"
    )
    figure.update_yaxes(title=f"{data} top-1 [%], as the paper states", gridcolor=SOFT, zeroline=False)
    figure.update_layout(
        height=440, margin={"l": 10, "r": 34, "t": 16, "b": 10}, paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)", font={"family": "system-ui, sans-serif", "size": 11, "color": "#80868b"},
        showlegend=True, legend={"orientation": "h", "y": -0.18, "yanchor": "top"},
    )  # fmt: skip
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"figure-6-{data}", config=config))
