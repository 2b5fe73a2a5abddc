"""A mapping of another network is refused before anything runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hwsim.chip import load
from hwsim.engine import Engine
from hwsim.mapping import MappingError


@pytest.mark.parametrize(
    ("core", "change", "where"),
    [
        (1, {"id": 2}, "$.cores[1].id"),
        (0, {"layer": "other"}, "$.cores[0].layer"),
        (0, {"rows": (0, 3)}, "$.cores[0]"),
        (0, {"rows": (0, 2)}, "$.cores"),
        (2, {"channels": (0, 1)}, "$.cores"),
    ],
)
def test_a_core_that_does_not_belong_is_named(line, line_mapping, core, change, where):
    mapping = line_mapping(load("loihi2"))
    cores = list(mapping.cores)
    cores[core] = replace(cores[core], **change)
    with pytest.raises(MappingError) as error:
        Engine(line, replace(mapping, cores=tuple(cores)))
    assert error.value.where == where
