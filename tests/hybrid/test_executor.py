"""The seam behind which work is done, in this process; by workers it is in test_cluster.py."""

from __future__ import annotations

import pytest

from hybrid.errors import BadInputError
from hybrid.executor import Workers, run_items


def test_in_this_process_results_come_in_order_and_one_at_a_time():
    seen = []
    outcomes = run_items([1, 2, 3], lambda x: seen.append(x) or x * x)
    assert next(outcomes).get() == 1
    assert seen == [1]
    assert [outcome.get() for outcome in outcomes] == [4, 9]


def test_an_error_about_an_item_is_its_outcome_and_the_others_go_on():
    def work(x):
        if x == 2:
            raise BadInputError("two", "it is even", "add one")
        return x

    one, two, three = run_items([1, 2, 3], work)
    assert (one.get(), three.get()) == (1, 3)
    assert two.result is None
    with pytest.raises(BadInputError, match="it is even"):
        two.get()


def test_any_other_error_ends_the_rest():
    outcomes = run_items([1, 0, 2], lambda x: 1 / x)
    assert next(outcomes).get() == 1
    with pytest.raises(ZeroDivisionError):
        next(outcomes)
    assert list(outcomes) == []


def test_who_works_here():
    assert Workers().here
    assert Workers(1).here
    assert not Workers(2).here
    assert not Workers(1, "10.0.0.1:6379").here
