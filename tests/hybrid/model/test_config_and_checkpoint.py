"""Configs and checkpoints: what is written is read back, and what is wrong is named."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from hybrid.errors import BadInputError
from hybrid.model import HybridModel, load_config
from hybrid.model.checkpoint import load_checkpoint, save_checkpoint
from hybrid.model.config import validate_config
from hybrid.shipped import CHECKPOINT


@pytest.mark.parametrize(
    ("section", "key", "value", "what"),
    [
        ("stm", "reset", "never", "stm.reset"),
        ("stm", "strides", [2], "3 channels but 1 strides"),
        ("ann", "heads", 5, "not divisible"),
        ("ann", "patch", 12, "not a multiple"),
        ("input", "crop", 999, "larger than resize"),
        ("input", "colour", 1, "input.colour"),
    ],
)
def test_a_wrong_value_is_named(section, key, value, what):
    data = load_config("tiny").model_dump()
    data[section][key] = value
    with pytest.raises(BadInputError, match=what):
        validate_config(data, "mine.toml")


def test_a_missing_config_and_broken_toml_are_refused(tmp_path):
    with pytest.raises(BadInputError, match="no such config"):
        load_config("huge")
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(BadInputError, match="not TOML"):
        load_config(tmp_path / "bad.toml")


def test_a_checkpoint_is_read_back_whole(tmp_path):
    model = HybridModel(load_config("tiny"))
    save_checkpoint(model, tmp_path / "new" / "m.safetensors", {"seed": "7"})
    again = load_checkpoint(tmp_path / "new" / "m.safetensors")
    assert again.notes == {"seed": "7"}
    assert again.model.config == model.config
    assert not again.model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_reading_a_checkpoint_draws_no_random_numbers_and_brings_no_algebra_system_along():
    code = (
        "import sys, torch\n"
        "from hybrid.model.checkpoint import load_checkpoint\n"
        "from hybrid.shipped import CHECKPOINT\n"
        "before = torch.get_rng_state(); load_checkpoint(CHECKPOINT)\n"
        "print(torch.equal(before, torch.get_rng_state()), 'sympy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["True", "False"]


def test_the_shipped_checkpoint_says_how_it_was_made_and_is_small():
    notes = load_checkpoint(CHECKPOINT).notes
    assert notes["command"].startswith("hybrid train")
    assert {"seed", "held_out_accuracy", "held_out_groups", "held_out_clips"} <= notes.keys()
    assert CHECKPOINT.stat().st_size < 5_000_000


def test_a_missing_foreign_misfitting_or_infinite_checkpoint_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "absent.safetensors")
    (tmp_path / "text.safetensors").write_text("not a checkpoint")
    with pytest.raises(BadInputError, match="not a checkpoint of ours"):
        load_checkpoint(tmp_path / "text.safetensors")
    save_file({"w": torch.zeros(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(BadInputError, match="not a checkpoint of ours"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    config = {"config": load_config("tiny").model_dump_json()}
    weights = load_file(CHECKPOINT)
    save_file(weights | {"head.bias": torch.zeros(9)}, tmp_path / "misfit.safetensors", config)
    with pytest.raises(BadInputError, match=r"head\.bias"):
        load_checkpoint(tmp_path / "misfit.safetensors")
    save_file(weights | {"head.bias": torch.full((6,), torch.nan)}, tmp_path / "nan.safetensors", config)
    with pytest.raises(BadInputError, match="not finite"):
        load_checkpoint(tmp_path / "nan.safetensors")
