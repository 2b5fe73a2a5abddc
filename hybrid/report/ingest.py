"""What is in a clip, to look at: the paper's Fig. 2 (raw above, accumulated below) as PNG and in a page."""

from __future__ import annotations

import base64
import io
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from hybrid.errors import BadInputError
from hybrid.files import make_folder, write_aside
from hybrid.video import Gop, read
from hybrid.video.gop import Array
from hybrid.video.statistics import DEAD_ZONE, VideoStatistics, statistics

COLUMNS = 5
"""P-frames shown, evenly spread over the GOP."""


def write_ingest(path: Path, folder: Path) -> tuple[VideoStatistics, Path, Path]:
    """Write `figure.png` and `ingest.html` for a clip; returns its statistics and the two paths.

    Raises:
        BadInputError: for a video that cannot be traced back, or a folder that is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise BadInputError(str(folder), "it is a file", "choose a folder for the picture and the page")
    found = statistics(path)
    picture = draw_figure(path)
    make_folder(folder)
    png, page = folder / "figure.png", folder / "ingest.html"
    write_aside(png, picture)
    environment = Environment(
        loader=PackageLoader("hybrid.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    html = environment.get_template("ingest.html.j2").render(
        name=path.name, s=found, rows=[("raw", asdict(found.raw)), ("accumulated", asdict(found.accumulated))],
        figure=base64.b64encode(picture).decode(), dead_zone=DEAD_ZONE,
    )  # fmt: skip
    write_aside(page, html.encode())
    return found, png, page


def draw_figure(path: Path) -> bytes:
    """The first GOP with P-frames as a PNG: I-frame, then raw and accumulated motion and residuals.

    Raises:
        BadInputError: for a video without a P-frame, or one that cannot be traced back.
    """
    accumulated = next((gop for gop in read(path) if gop.steps), None)
    if accumulated is None:
        raise BadInputError(str(path), "it has no P-frame", "use a clip that was encoded with a GOP of more than one")
    raw = next(gop for gop in read(path, accumulate=False) if gop.index == accumulated.index)
    chosen = np.unique(np.linspace(0, raw.steps - 1, COLUMNS).round().astype(int))
    figure = Figure(figsize=(2.4 * (len(chosen) + 1), 8.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(4, len(chosen) + 1)
    rows: tuple[tuple[str, Gop, bool], ...] = (
        ("raw motion", raw, True), ("raw residual", raw, False),
        ("accumulated motion", accumulated, True), ("accumulated residual", accumulated, False),
    )  # fmt: skip
    for row, (title, gop, is_motion) in enumerate(rows):
        reach = max(2.0, float(np.percentile(np.hypot(*np.moveaxis(gop.motion.astype(float), -1, 0)), 99.5)))
        for axis in axes[row]:
            axis.set_xticks([])
            axis.set_yticks([])
        axes[row, 0].set_ylabel(f"{title}, up to {reach:.0f} px" if is_motion else title, fontsize="small")
        if row == 0:
            axes[row, 0].imshow(gop.iframe)
            axes[row, 0].set_title("I-frame")
        elif row == 2:
            axes[row, 0].imshow(_wheel())
            axes[row, 0].set_title("direction of motion")
        else:
            for spine in axes[row, 0].spines.values():
                spine.set_visible(False)
        for column, t in enumerate(chosen, 1):
            shown = colour(gop.motion[t], reach) if is_motion else grey(gop.residual[t])
            axes[row, column].imshow(shown)
            if row in (0, 2):
                axes[row, column].set_title(f"P-frame {t + 1}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def colour(motion: Array, reach: float) -> Array:
    """Motion [H, W, 2] as RGB [H, W, 3], 0 to 1: direction is hue, length is saturation; still is white."""
    x, y = motion[..., 0].astype(float), motion[..., 1].astype(float)
    hue = (np.arctan2(y, x) / (2 * np.pi)) % 1
    saturation = np.clip(np.hypot(x, y) / reach, 0, 1)
    return np.asarray(hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], axis=-1)))


def grey(residual: Array) -> Array:
    """Residual [H, W, 3] as RGB bytes: zero is middle grey."""
    return np.clip(residual.astype(np.int32) + 128, 0, 255).astype(np.uint8)


def _wheel() -> Array:
    y, x = np.mgrid[-1:1:160j, -1:1:160j]
    wheel = colour(np.stack([x, y], axis=-1), 1.0)
    wheel[np.hypot(x, y) > 1] = 1
    return wheel
