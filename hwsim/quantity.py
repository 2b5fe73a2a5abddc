"""Numbers with a band and a source: a constant is a `Quantity`, what is computed from it a `Range`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

FloatArray: TypeAlias = npt.NDArray[np.float64]

Status: TypeAlias = Literal["M", "S", "F", "D", "V", "?"]
"""Measured on silicon, simulated before silicon, fitted to measurements, derived, stated by the vendor, or
an estimate."""

Unit: TypeAlias = Literal["pJ", "nJ", "ps", "ns", "us", "mW", "W"]

_SI = {"pJ": 1e-12, "nJ": 1e-9, "ps": 1e-12, "ns": 1e-9, "us": 1e-6, "mW": 1e-3, "W": 1.0}
_DIMENSION = {"pJ": "energy", "nJ": "energy", "ps": "time", "ns": "time", "us": "time", "mW": "power", "W": "power"}


@dataclass(frozen=True, slots=True)
class Range:
    """Low, nominal and high value of one number, in SI units; all arithmetic keeps the three apart."""

    low: float
    nominal: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def __mul__(self, factor: float | Range) -> Range:
        """The product with a number that is not negative, or with a range: low with low, high with high."""
        if isinstance(factor, Range):
            return Range(self.low * factor.low, self.nominal * factor.nominal, self.high * factor.high)
        return Range(self.low * factor, self.nominal * factor, self.high * factor)

    def of(self, counts: npt.NDArray[Any]) -> Ranges:
        """The product with an array of counts, elementwise."""
        return Ranges(self.low * counts, self.nominal * counts, self.high * counts)


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Low, nominal and high value of an array of numbers, in SI units; the three have one shape."""

    low: FloatArray
    nominal: FloatArray
    high: FloatArray

    def __add__(self, other: Ranges | Range) -> Ranges:
        return Ranges(self.low + other.low, self.nominal + other.nominal, self.high + other.high)

    def __mul__(self, factor: float) -> Ranges:
        return Ranges(self.low * factor, self.nominal * factor, self.high * factor)

    def maximum(self, other: Ranges) -> Ranges:
        """The elementwise larger, for each of the three."""
        pairs = ((self.low, other.low), (self.nominal, other.nominal), (self.high, other.high))
        return Ranges(*(np.maximum(a, b) for a, b in pairs))

    def max(self, axis: int) -> Ranges:
        """The largest along an axis, for each of the three; 0 of none, since no quantity is negative."""
        return Ranges(*(x.max(axis, initial=0.0) for x in (self.low, self.nominal, self.high)))

    def sum(self, axis: int | tuple[int, ...]) -> Ranges:
        """The sum along axes."""
        return Ranges(self.low.sum(axis), self.nominal.sum(axis), self.high.sum(axis))

    def mean(self, axis: int) -> Ranges:
        """The mean along an axis."""
        return Ranges(self.low.mean(axis), self.nominal.mean(axis), self.high.mean(axis))

    def total(self) -> Range:
        """The sum over everything."""
        return Range(float(self.low.sum()), float(self.nominal.sum()), float(self.high.sum()))


class Quantity(BaseModel):
    """One constant of a chip, with its band, unit and source.

    `low` and `high` bound what is known; a constant that its source calls a minimum or a maximum has a
    one-sided band.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float = Field(ge=0, allow_inf_nan=False, description="smallest plausible value")
    nominal: float = Field(ge=0, allow_inf_nan=False, description="value to use where one is needed")
    high: float = Field(ge=0, allow_inf_nan=False, description="largest plausible value")
    unit: Unit = Field(description="unit of the three")
    status: Status = Field(description="M, S, F, D, V or ?")
    source: str = Field(min_length=1, description="paper and table, or how it was derived or estimated")

    @model_validator(mode="after")
    def _ordered(self) -> Quantity:
        if not self.low <= self.nominal <= self.high:
            raise ValueError(f"low {self.low} <= nominal {self.nominal} <= high {self.high} does not hold")
        return self

    @property
    def dimension(self) -> str:
        """`energy`, `time` or `power`."""
        return _DIMENSION[self.unit]

    @property
    def si(self) -> Range:
        """The band in joules, seconds or watts."""
        return Range(self.low, self.nominal, self.high) * _SI[self.unit]
