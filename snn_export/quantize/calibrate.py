"""Ranges of input ports from values that really occur."""

from __future__ import annotations

import numpy as np

from snn_export.network import InputPort, IntArray, NetworkError
from snn_export.quantize.scales import MAX, Clipping


def calibrate(port: InputPort, values: IntArray, bits: int, clip: Clipping = MAX) -> InputPort:
    """The port with integers of `bits` in place of real numbers, at a scale that suits the values.

    Args:
        port: the port of the float network.
        values: real values of calibration clips, [..., *port.shape].
        bits: 2 to 16, sign included.
        clip: how the range is chosen.

    Raises:
        NetworkError: for values that are not finite or not of the port's shape, or bits out of range.
    """
    here = f"calibration values of {port.name!r}"
    if values.shape[-len(port.shape) :] != port.shape or not values.size:
        raise NetworkError(here, f"array of shape {values.shape}", f"give [..., {', '.join(map(str, port.shape))}]")
    if not np.isfinite(values).all():
        raise NetworkError(here, "they are not all finite", "leave out the clips that are broken")
    if bits < 2:
        raise NetworkError(f"$.inputs[{port.name}].bits", f"{bits} bits for graded values", "use 2 to 16")
    return InputPort(port.name, port.shape, bits, clip.unit(values, 2 ** (bits - 1) - 1))


def to_integers(port: InputPort, values: IntArray) -> IntArray:
    """Real values as integers of a graded port, int16: rounded to its scale and clipped to its range."""
    low, high = port.interval
    return np.asarray(np.clip(np.rint(values / port.scale), low, high).astype(np.int16))
