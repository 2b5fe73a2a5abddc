"""What lava-dl's netx and Lava's Dense make of a weight matrix."""

from __future__ import annotations

import numpy as np

from snn_export.network import IntArray

MIXED_RANGE = (-256, 254)
"""netx clips a matrix of both signs to this."""
MAGNITUDE_LIMIT = 255
"""Lava's Dense holds 8 bits of magnitude."""


def effective(weight: IntArray) -> IntArray | None:
    """The integers that netx multiplies with, for the integers [out, in] of a file.

    netx shifts the matrix left until it fills Loihi's 8 bits (9 with sign), Lava clips it and cuts its lowest
    bits, and shifts the sums right again.

    Returns:
        int64 [out, in], or None where netx cannot run the matrix: it is all zero, too large, or loses bits that
        make the sums depend on how many spikes arrive.
    """
    weight = np.asarray(weight, np.int64)
    low, high = int(weight.min()), int(weight.max())
    if low < 0 and high > 0:
        weight = np.clip(weight, *MIXED_RANGE)
        low, high = int(weight.min()), int(weight.max())
    one_sign = low >= 0 or high < 0
    shift = _shift(low, high, one_sign)
    if shift is None or shift < 0:
        return None
    cut = shift + _trailing_zeros(weight) - (not one_sign)
    if low < 0 < high:
        # one bit more goes with the sign
        held = ((weight << shift) >> (cut + 1)) << (cut + 1)
    elif cut < 0:
        return None
    else:
        magnitude = np.minimum(np.abs(weight << shift), MAGNITUDE_LIMIT)
        held = np.sign(weight) * ((magnitude >> cut) << cut)
    return held >> shift if not (held & ((1 << shift) - 1)).any() else None


def _shift(low: int, high: int, one_sign: bool) -> int | None:
    """How far netx shifts the matrix to the left; None where it divides by zero."""
    if low == high == 0:
        return None
    if not one_sign:
        room = min(127 / high if high else np.inf, -128 / low)
        return int(np.floor(np.log2(room))) + 1
    return int(np.floor(np.log2(255 / high if low >= 0 else -256 / low)))


def _trailing_zeros(weight: IntArray) -> int:
    """Lowest bits, up to 8, that are 0 in every weight."""
    return next((n for n in range(8, 0, -1) if not (weight % (1 << n)).any()), 0)
