"""Chip files: what ships is sound, what is wrong is named with its place."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from hwsim.chip import ChipError, load, names, parse


@pytest.fixture
def text():
    return (resources.files("hwsim") / "chips" / "loihi1.toml").read_text()


def test_every_shipped_chip_loads_under_its_own_name():
    assert {"loihi1", "loihi1-fitted", "loihi2", "tianjic", "truenorth"} <= set(names())
    assert [load(name).name for name in names()] == list(names())


@pytest.mark.parametrize("name", names())
def test_estimates_say_so_and_every_constant_has_a_source(name):
    costs = load(name).costs
    for key in type(costs).model_fields:
        quantity = getattr(costs, key)
        if hasattr(quantity, "status"):
            assert len(quantity.source) > 10, key
            assert quantity.status != "?" or "estimate" in quantity.source, key


def test_a_users_own_file_is_read_by_path(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text.replace('name = "loihi1"', 'name = "mine"'))
    assert load(file).name == "mine"


def test_an_unknown_name_suggests_the_nearest_and_lists_all():
    with pytest.raises(ChipError) as error:
        load("lohi2")
    assert "did you mean 'loihi2'" in error.value.fix
    assert all(name in error.value.fix for name in names())
    assert error.value.exit_code == 2


def test_a_missing_file_is_named():
    with pytest.raises(ChipError, match="cannot be read"):
        load("nowhere/mine.toml")


_SPIKE = "[costs.time_spike]"


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        (_SPIKE, "[costs.time_spikes]", "$.costs.time_spike", "required"),
        ("nominal = 52.0", "nominal = -52.0", "$.costs.energy_neuron_update.nominal", "greater than"),
        ("low = 52.0", "low = 53.0", "$.costs.energy_neuron_update", "low 53.0 <= nominal"),
        ('unit = "mW"', 'unit = "ns"', "$.costs", "power_static is given in ns"),
        ("neurons = 1024", "neurons = 1024\nneuron = 3", "$.core.neuron", "not permitted"),
        ('status = "M"', 'status = "X"', "$.costs.power_static.status", "Input should be"),
        ("tiles = 1\n", "tiles = 3\n", "$.costs", "start at 1"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(text, old, new, where, what):
    with pytest.raises(ChipError) as error:
        parse(text.replace(old, new, 1), "mine.toml")
    assert error.value.where.endswith(where)
    assert error.value.where.startswith("mine.toml")
    assert what in error.value.what
    assert error.value.fix


def test_an_error_gives_the_line_of_the_key(text):
    changed = text.replace("nominal = 52.0", "nominal = -52.0", 1)
    line = changed.splitlines().index("nominal = -52.0") + 1
    with pytest.raises(ChipError, match=f"line {line}:"):
        parse(changed, "mine.toml")


@pytest.mark.parametrize("name", names())
def test_a_users_copy_with_one_constant_missing_or_negative_is_refused_with_its_line(name, tmp_path):
    text = (resources.files("hwsim") / "chips" / f"{name}.toml").read_text()
    file, tables = tmp_path / "mine.toml", re.split(r"(?m)^(?=\[)", text)
    constants = [table for table in tables if re.match(r"\[+costs\.", table)]
    assert len(constants) >= 3
    for table in constants:
        sync = table.startswith("[[")
        key = "sync.0.time" if sync else table[1:].split("]")[0].removeprefix("costs.")
        if not sync:
            file.write_text(text.replace(table, ""))
            with pytest.raises(ChipError) as error:
                load(file)
            assert error.value.where.endswith(f": $.costs.{key}")
            assert error.value.fix == "add the key"
        negative = re.sub(r"\blow = ", "low = -1", table)
        changed = text.replace(table, negative)
        file.write_text(changed)
        with pytest.raises(ChipError, match="greater than or equal to 0") as error:
            load(file)
        line = int(re.search(r"line (\d+):", error.value.where).group(1))
        assert "low = -1" in changed.splitlines()[line - 1]
        assert changed.splitlines()[: line - 1] == text.splitlines()[: line - 1]


def test_a_misspelt_key_suggests_the_right_one(text):
    with pytest.raises(ChipError, match="did you mean 'neurons'"):
        parse(text.replace("neurons = 1024", "neurons = 1024\nneuron = 3"), "mine.toml")


def test_text_that_is_not_toml_is_refused():
    with pytest.raises(ChipError, match="not TOML"):
        parse("name = ", "mine.toml")
