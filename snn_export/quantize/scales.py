"""Choose the real value of one integer, so that given real values fit a number of integers well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from snn_export.network import IntArray

WEIGHT_LIMIT = 127
"""Largest magnitude of a quantised weight."""
CANDIDATES = np.linspace(1.0, 0.2, 81)
"""Shares of the largest magnitude that the search for the least error tries; the first of equals wins."""


@dataclass(frozen=True, slots=True)
class Clipping:
    """Where a range of real values is cut off, by one of three methods in common use.

    Nagel et al., "A White Paper on Neural Network Quantization" (arXiv:2106.08295), section 3.1.

    Attributes:
        method: `max` cuts nothing off; `percentile` at that percentile of the nonzero magnitudes; `mse` where
            the mean square error of rounding and clipping together is least.
        percentile: for the method of that name, over 0 to 100.
    """

    method: Literal["max", "percentile", "mse"]
    percentile: float = 99.9

    def __post_init__(self) -> None:
        if self.method not in ("max", "percentile", "mse"):
            raise ValueError(f"no clipping is named {self.method!r}: use max, percentile or mse")
        if not 0 < self.percentile <= 100:
            raise ValueError(f"percentile {self.percentile} is not in 0..100")

    def unit(self, values: IntArray, top: int) -> float:
        """The real value of one integer.

        Args:
            values: finite real values of any shape.
            top: the largest integer.

        Returns:
            A positive number; 1 where all values are 0.
        """
        magnitudes = np.abs(values[values != 0]).astype(np.float64)
        if not magnitudes.size:
            return 1.0
        largest = float(magnitudes.max())
        if self.method == "percentile":
            largest = float(np.percentile(magnitudes, self.percentile))
        if self.method == "mse":
            largest *= float(min(CANDIDATES, key=lambda share: _error(magnitudes, largest * share / top, top)))
        return largest / top


MAX, MSE = Clipping("max"), Clipping("mse")


def _error(magnitudes: IntArray, unit: float, top: int) -> float:
    rounded = np.minimum(np.rint(magnitudes / unit), top) * unit
    return float(((magnitudes - rounded) ** 2).mean())
