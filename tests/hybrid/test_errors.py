"""Errors keep their three parts, also on their way between processes."""

from __future__ import annotations

import pickle

import pytest

from hybrid.errors import BadInputError, HybridError, IllegalPlanError, VerificationError


@pytest.mark.parametrize(
    ("kind", "code"), [(HybridError, 1), (BadInputError, 2), (IllegalPlanError, 3), (VerificationError, 4)]
)
def test_an_error_survives_the_way_between_processes(kind, code):
    error = pickle.loads(pickle.dumps(kind("here", "this is wrong", "do that")))
    assert (type(error), error.where, error.what, error.fix, error.exit_code) == (
        kind,
        "here",
        "this is wrong",
        "do that",
        code,
    )
    assert str(error) == "this is wrong\n  where: here\n  fix:   do that"
