"""The report's interactive figures, as Plotly divs without the library itself."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from hybrid.report.model import Band, Report

CHIP, LINK, ANN, FRAMES = "#0f9d8a", "#e0a526", "#5b6ee1", "#9aa0a6"
COLOURS = {"chip": CHIP, "link": LINK, "ann": ANN, "frames": FRAMES}


def energy(report: Report) -> str:
    """Joules per video by part and event, with their bands."""
    parts = [part for part in report.energy_j.by_kind if part.energy_j.high > 0]
    figure = go.Figure(
        go.Bar(
            orientation="h",
            y=[f"{part.part}: {part.kind}" for part in parts],
            x=[part.energy_j.nominal for part in parts],
            error_x=_error([part.energy_j for part in parts]),
            marker_color=[COLOURS[part.part] for part in parts],
            customdata=[[part.energy_j.low, part.energy_j.high, part.source] for part in parts],
            hovertemplate="%{y}<br>%{x:.3s}J (%{customdata[0]:.3s} to %{customdata[1]:.3s})"
            "<br>%{customdata[2]}<extra></extra>",
        )
    )
    figure.update_xaxes(title="joules per video", tickformat=".2s", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _div(figure, "energy", 60 + 34 * len(parts))


def timeline(report: Report) -> str:
    """What happens from the last P-frame of a GOP to the prediction."""
    spans = report.videos[0].timeline
    figure = go.Figure()
    for span in spans:
        figure.add_bar(
            orientation="h", y=[span.lane], base=[span.start_s * 1e3], x=[span.duration_s * 1e3],
            marker_color=COLOURS[span.lane], name=span.name, showlegend=False, width=0.6,
            hovertemplate=f"{span.name}<br>starts at %{{base:.4f}} ms, takes %{{x:.4f}} ms<extra></extra>",
        )  # fmt: skip
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title="milliseconds after the last P-frame arrived")
    figure.update_yaxes(categoryorder="array", categoryarray=["ann", "link", "chip", "frames"], automargin=True)
    return _div(figure, "timeline", 240)


def steps(report: Report) -> str:
    """Length of each chip step, with its band."""
    bands = report.videos[0].step_s
    figure = go.Figure(
        go.Bar(
            x=list(range(1, len(bands) + 1)),
            y=[band.nominal * 1e6 for band in bands],
            error_y=_error(bands, 1e6),
            marker_color=CHIP,
            hovertemplate="step %{x}: %{y:.2f} us<extra></extra>",
        )
    )
    figure.update_xaxes(title="time step (P-frame)", dtick=1)
    figure.update_yaxes(title="microseconds", rangemode="tozero")
    return _div(figure, "steps", 280)


def cores(report: Report) -> str:
    """Busy time of every core on its place in the mesh, free places pale; the critical core is framed."""
    chip, load = report.chip, report.videos[0].core_load
    side = math.ceil(math.sqrt(chip.cores_per_tile))
    critical = max(range(len(load)), key=lambda i: load[i])

    def place(number: int, x: int, y: int, slot: int) -> tuple[float, float]:
        column = (number * chip.tiles_x + x) * (side + 0.4) + slot % side + number
        return column, y * (side + 0.4) + slot // side

    every = [
        place(number, x, y, slot)
        for number in range(chip.chips)
        for x in range(chip.tiles_x)
        for y in range(chip.tiles_y)
        for slot in range(chip.cores_per_tile)
    ]
    used = [place(core.chip, core.x, core.y, core.slot) for core in chip.cores]
    size = max(4, min(18, int(900 / (max(x for x, _ in every) + 2))))
    figure = go.Figure(
        go.Scatter(
            x=[x for x, _ in every], y=[y for _, y in every], mode="markers", hoverinfo="skip",
            marker={"symbol": "square", "size": size, "color": "rgba(128,134,139,0.18)"},
        )
    )  # fmt: skip
    figure.add_scatter(
        x=[x for x, _ in used], y=[y for _, y in used], mode="markers",
        marker={
            "symbol": "square", "size": size, "color": [seconds * 1e6 for seconds in load], "colorscale": "Viridis",
            "colorbar": {"title": {"text": "busy [µs]"}, "thickness": 12},
            "line": {"color": "#d93025", "width": [3 if i == critical else 0 for i in range(len(load))]},
        },
        customdata=[[c.id, c.layer, c.neurons, c.chip, c.x, c.y] for c in chip.cores],
        hovertemplate="core %{customdata[0]}: %{customdata[1]}<br>%{customdata[2]} neurons<br>"
        "chip %{customdata[3]}, tile (%{customdata[4]}, %{customdata[5]})<br>busy %{marker.color:.2f} µs"
        "<extra></extra>",
    )  # fmt: skip
    figure.update_layout(showlegend=False)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x")
    rows = max(y for _, y in every) + 1
    return _div(figure, "cores", int(70 + rows * size * 1.35))


def _error(bands: list[Band] | tuple[Band, ...], scale: float = 1.0) -> dict[str, object]:
    return {
        "type": "data", "symmetric": False, "thickness": 1.2, "color": "#80868b",
        "array": [(band.high - band.nominal) * scale for band in bands],
        "arrayminus": [(band.nominal - band.low) * scale for band in bands],
    }  # fmt: skip


def _div(figure: go.Figure, name: str, height: int) -> str:
    figure.update_layout(
        height=height, margin={"l": 10, "r": 10, "t": 10, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#80868b"},
    )  # fmt: skip
    figure.update_xaxes(gridcolor="rgba(128,134,139,0.25)", zeroline=False)
    figure.update_yaxes(gridcolor="rgba(128,134,139,0.25)", zeroline=False)
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=f"figure-{name}", config=config))
