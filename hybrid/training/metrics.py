"""The metrics of a training as a CSV file, whole at every moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from hybrid.files import make_folder, write_aside


class MetricsLogger(Logger):
    """One row per logged step; the file is written aside and renamed after every epoch, and at the end.

    Args:
        folder: of all files of this training.
        name: of the folder of this one's file, `metrics.csv`; a file of that name is replaced.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__()
        self._path, self._name = folder / name / "metrics.csv", name
        self._rows: list[dict[str, float]] = []

    @property
    def name(self) -> str:
        """Name of all files of this training."""
        return self._path.parent.parent.name

    @property
    def version(self) -> str:
        """Name of this one."""
        return self._name

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Note a row."""
        row = {**metrics, "step": float("nan") if step is None else step}
        if self._rows and row.get("epoch") != self._rows[-1].get("epoch"):
            self._write()
        self._rows.append(row)

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: they are in the settings beside the logs."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write all rows."""
        if self._rows:
            self._write()

    def _write(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, sorted({name for row in self._rows for name in row}))
        writer.writeheader()
        writer.writerows(self._rows)
        make_folder(self._path.parent)
        write_aside(self._path, text.getvalue().encode())
