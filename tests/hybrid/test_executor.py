"""The seam behind which the work is done."""

from __future__ import annotations

import math
import operator
import os

import pytest

from hybrid.errors import HybridError
from hybrid.executor import run_points


def test_in_this_process_results_come_in_order_and_one_at_a_time():
    seen = []
    results = run_points([1, 2, 3], lambda x: seen.append(x) or x * x)
    assert next(results) == 1
    assert seen == [1]
    assert list(results) == [4, 9]


def test_workers_give_the_same_results_from_other_processes():
    assert sorted(run_points([1.0, 4.0, 9.0], math.sqrt, 2)) == [1.0, 2.0, 3.0]


def test_what_the_work_raises_in_a_worker_comes_out_here():
    with pytest.raises(ZeroDivisionError):
        list(run_points([operator.truediv], _divide, 1))
    with pytest.raises(ValueError, match="math domain"):
        list(run_points([-1.0], math.sqrt, 2))


def test_a_worker_that_dies_is_reported():
    with pytest.raises(HybridError, match="one died"):
        list(run_points([9], os._exit, 2))


def _divide(function):
    return function(1, 0)
