"""What a user sees whose model, weights or inputs cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

MODULE = """
import norse.torch as norse
import torch
from torch import nn

class Deciding(nn.Module):
    def forward(self, x):
        if x.mean() > 0.5:
            return x
        return x * 2

class Adaptive(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = norse.LIFRefracCell()
    def forward(self, x):
        s, out = None, []
        for t in range(x.shape[1]):
            z, s = self.cell(x[:, t], s)
            out.append(z)
        return torch.stack(out, 1)

class Writing(nn.Module):
    def forward(self, x):
        out = torch.zeros(2, 3, 4)
        out[:, 0] = x[:, 0]
        return out

def failing():
    raise RuntimeError("no licence for this model")

def number():
    return 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, norse_example):
    (tmp_path / "usermodels.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    import sys

    sys.modules.pop("usermodels", None)


def test_each_mistake_gives_one_clear_message_and_its_exit_code(folder, hybrid, norse_example):
    model = norse_example.build()
    weights = dict(model.state_dict())
    save_file(weights | {"conv1.weight": torch.zeros(6, 3, 3, 3)}, "shape.safetensors")
    save_file({k: v for k, v in weights.items() if k != "head.0.bias"}, "less.safetensors")
    save_file(weights | {"extra": torch.zeros(1)}, "more.safetensors")
    np.savez("odd.npz", events=np.zeros((2, 7, 2, 16, 15)))
    np.savez("other.npz", x=np.zeros((2, 7, 2, 16, 16)))
    net, shape = "norse_model:build", ("--input-shape", norse_example.shape)
    small = ("--input-shape", "3,4")
    for arguments, exit_code, what, fix in (
        (("usermodels:Deciding", *small), 2, "usermodels.py:8", "torch.where"),
        (("usermodels:Writing", *small), 2, "usermodels.py:26", "torch"),
        (("usermodels:Adaptive", *small, "--pin", "cell"), 3, "more than a leak", "pin"),
        (("usermodels:failing", *small), 2, "no licence for this model", "factory"),
        (("usermodels:number", *small), 2, "no torch module", "return"),
        (("usermodels:absent", *small), 2, "no such function", "FACTORY"),
        (("nosuchmodule:build", *small), 2, "cannot be imported", "install"),
        ((net,), 2, "0 shapes", "--input-shape"),
        ((net, "--input-shape", "7,x"), 2, "no shape", "11,2,32,32"),
        ((net, "--input-shape", "7,3,16,16"), 2, "on inputs of", "--input-shape"),
        ((net, *shape, "--weights", "absent.safetensors"), 2, "cannot be read", "save_file"),
        ((net, *shape, "--weights", "shape.safetensors"), 2, "'conv1.weight' has shape [6, 3, 3, 3]", "weights"),
        ((net, *shape, "--weights", "less.safetensors"), 2, "'head.0.bias' is missing", "weights"),
        ((net, *shape, "--weights", "more.safetensors"), 2, "'extra' is not in the model", "weights"),
        ((net, *shape, "--calibrate", "odd.npz"), 2, "array of shape", "give [samples, 7, 2, 16, 16]"),
        ((net, *shape, "--calibrate", "other.npz"), 2, "arrays named ['x']", "events"),
        ((net, *shape, "--pin", "head"), 3, "Linear is no spiking layer", "pin"),
        ((net, *shape, "--pin", "nowhere"), 3, "no op of the model", "lif1"),
    ):  # fmt: skip
        code, out, err = hybrid("partition", *arguments)
        assert code == exit_code, (arguments, err)
        assert what in err, (arguments, err)
        assert fix in err, (arguments, err)
        assert not out
    assert {path.suffix for path in folder.iterdir()} <= {".py", ".safetensors", ".npz", ""}


def test_inputs_that_the_chip_was_not_calibrated_for_are_refused(folder, hybrid, norse_example):
    given = ("norse_model:build", "--input-shape", norse_example.shape, "--pin", "*", "--out", "bundle")
    code, _, err = hybrid("compile", *given)
    assert code == 0, err
    np.savez("half.npz", events=np.full((1, 7, 2, 16, 16), 0.5))
    code, _, err = hybrid("run", "bundle", "half.npz", "--out", "out")
    assert code == 2
    assert "not all 0 or 1" in err
    assert "--calibrate" in err
    code, _, err = hybrid("run", "bundle", "half.npz", "half.npz")
    assert code == 2
    assert "one .npz" in err
    assert not (folder / "out").exists()


def test_real_inputs_are_calibrated_to_integers(folder, hybrid, norse_example):
    rng = np.random.default_rng(0)
    np.savez("real.npz", events=rng.random((2, 7, 2, 16, 16)))
    given = ("norse_model:build", "--input-shape", norse_example.shape, "--pin", "*", "--out", "bundle")
    code, _, err = hybrid("compile", *given, "--calibrate", "real.npz")
    assert code == 0, err
    code, out, err = hybrid("run", "bundle", "real.npz", "--check", "reference")
    assert code == 0, err
    assert "exact: hwsim, reference" in out
