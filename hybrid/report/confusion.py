"""The confusion matrix of an evaluation as a picture."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from hybrid.files import make_folder, write_aside
from hybrid.training.evaluate import Evaluation

NUMBERED = 25
"""Classes up to which every cell shows its count."""


def draw_confusion(evaluation: Evaluation, target: Path) -> None:
    """Draw clips by true class (rows) and predicted class (columns), shaded by share of the row, as a PNG."""
    counts = np.array(evaluation.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = max(4.0, 0.3 * len(counts))
    figure = Figure(figsize=(size + 1.5, size + 0.5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(counts)), evaluation.classes, rotation=90 if len(counts) > 8 else 0)
    axes.set_yticks(range(len(counts)), evaluation.classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"top-1 {evaluation.top1:.1%} of {counts.sum()} clips ({evaluation.backend})")
    if len(counts) <= NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    figure.colorbar(image, label="share of the true class")
    data = BytesIO()
    figure.savefig(data, format="png", dpi=120)
    make_folder(target.parent)
    write_aside(target, data.getvalue())
