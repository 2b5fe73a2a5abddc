"""Check the values that are given to a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from snn_export.network.contract import REAL, IntArray, NetworkError

if TYPE_CHECKING:
    from snn_export.network.graph import InputPort, SpikingNetwork


def check_inputs(network: SpikingNetwork, inputs: Mapping[str, IntArray]) -> tuple[int, int]:
    """Check one array [G, T, *shape] per port: integers within the port's interval, or finite real numbers.

    Returns:
        The number of GOPs G and of steps T.

    Raises:
        NetworkError: naming the port and what is wrong with its array.
    """
    sizes: set[tuple[int, int]] = set()
    for port in network.inputs:
        here = f"input {port.name!r}"
        if port.name not in inputs:
            raise NetworkError(
                here, "no values were given", f"pass one array for each of {[p.name for p in network.inputs]}"
            )
        array = inputs[port.name]
        if array.ndim != 2 + len(port.shape) or array.shape[2:] != port.shape or 0 in array.shape[:2]:
            raise NetworkError(
                here,
                f"array of shape {array.shape}",
                f"give [GOPs, steps, {', '.join(map(str, port.shape))}]",
            )
        _check_values(port, array, here)
        sizes.add((array.shape[0], array.shape[1]))
    if len(sizes) > 1:
        raise NetworkError("inputs", f"different numbers of GOPs and steps: {sorted(sizes)}", "give all ports the same")
    return sizes.pop()


def _check_values(port: InputPort, array: IntArray, where: str) -> None:
    if port.bits == REAL:
        if array.dtype.kind not in "iubf" or not np.isfinite(array).all():
            raise NetworkError(where, f"values of type {array.dtype}, not all finite numbers", "give finite numbers")
        return
    if array.dtype.kind not in "iub":
        raise NetworkError(where, f"values of type {array.dtype}", "round them to integers first")
    low, high = port.interval
    if int(array.min()) < low or int(array.max()) > high:
        raise NetworkError(
            where,
            f"values {array.min()} to {array.max()} leave {low}..{high}",
            "clip them, or declare more bits",
        )
