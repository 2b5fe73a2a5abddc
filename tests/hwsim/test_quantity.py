"""Bands stay ordered through arithmetic and reject what has no meaning."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwsim.quantity import Quantity, Range

_bands = st.lists(st.floats(0, 1e6), min_size=3, max_size=3).map(lambda x: Range(*sorted(x)))


@given(_bands, _bands, st.floats(0, 1e3), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_sums_products_and_maxima_of_ordered_bands_are_ordered(a, b, factor, counts):
    arrays = a.of(np.array(counts)) + b
    for x in (a + b, a * b, a * factor, arrays.total(), arrays.maximum(b.of(np.array(counts))).total()):
        assert x.low <= x.nominal <= x.high


def test_units_are_turned_into_si():
    def quantity(unit):
        return Quantity(low=1, nominal=2, high=3, unit=unit, status="M", source="x").si

    assert quantity("pJ").nominal == pytest.approx(2e-12, rel=1e-15)
    assert quantity("nJ").high == pytest.approx(3e-9, rel=1e-15)
    assert quantity("us").low == pytest.approx(1e-6, rel=1e-15)
    assert quantity("mW").nominal == pytest.approx(2e-3, rel=1e-15)


@pytest.mark.parametrize("change", [{"low": 3}, {"high": float("inf")}, {"source": ""}, {"more": 1}])
def test_a_quantity_without_order_bound_or_source_is_refused(change):
    good = {"low": 1, "nominal": 2, "high": 3, "unit": "pJ", "status": "M", "source": "x"}
    with pytest.raises(ValidationError):
        Quantity.model_validate(good | change)
