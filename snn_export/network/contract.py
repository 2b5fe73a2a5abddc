"""The contract's constants, its few enumerations, and the error for what breaks it."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[Any]
"""An array of integers, or of real numbers in a float network."""

STATE_SHIFT = 6
"""Left shift of the accumulator and of the threshold into the 24-bit state (Lava's fixed-point LIF)."""
DECAY_BITS = 12
"""Fractional bits of `keep` and `ukeep`: 4096 keeps everything, 0 forgets everything."""
STATE_LIMIT = 2**23 - 1
"""The membrane potential is clipped to +- this value."""
ACCUMULATOR_LIMIT = 2**17
"""|a| must stay below this, so that ``a << 6`` fits 24 bits."""
THRESHOLD_LIMIT = 2**17
"""A threshold fits 17 bits (Lava's LIF)."""
GRADED_BITS_LIMIT = 16
"""A graded input value has at most this many bits, sign included."""
REAL = 0
"""The `bits` of a port that takes real numbers, which float networks only may have."""


class NetworkError(ValueError):
    """A spiking network that breaks the contract.

    Attributes:
        where: the place, as `$.layers[name].field`.
        what: what is wrong there.
        fix: how to repair it.
    """

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")


class Reset(str, Enum):
    """What a spike does to the membrane potential."""

    ZERO = "zero"
    SOFT = "soft"
    NONE = "none"


class Arithmetic(str, Enum):
    """What a network computes with: integers as the chips do, or real numbers."""

    FIXED = "fixed"
    FLOAT = "float"
