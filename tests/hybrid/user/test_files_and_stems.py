"""Networks from NIR files, models of one step, and models whose chip part the host feeds."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hybrid.bundle import load_bundle
from snn_export import nir, reference
from snn_export.network import LIF, REAL, Arithmetic, Connection, Conv2d, Dense, InputPort, Layer, Reset, SpikingNetwork

MODULE = """
import norse.torch as norse
import snntorch as snn
import torch
from torch import nn

def step():
    torch.manual_seed(0)
    net = norse.SequentialState(
        nn.Conv2d(2, 4, 3), norse.LIFBoxCell(norse.LIFBoxParameters(v_th=torch.tensor(0.02))), nn.Flatten(1),
        nn.Linear(64, 3), norse.LICell())
    return net

class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        self.cell = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(250.0), v_th=torch.tensor(0.1)))
        self.head = nn.Linear(4 * 4 * 4, 3)
    def forward(self, image):
        features, state, total = self.stem(image), None, 0
        for _ in range(6):
            spikes, state = self.cell(features, state)
            total = total + spikes
        return self.head(total.flatten(1)), features.mean((2, 3))

class Both(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.fc1, self.lif1 = nn.Linear(64, 30), snn.Leaky(beta=0.95, reset_mechanism="zero")
        self.fc2, self.lif2 = nn.Linear(30, 10), snn.Leaky(beta=0.95)
        self.fc1.weight.data *= 5
        self.fc2.weight.data *= 5
    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, mems = [], []
        for _ in range(8):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            mems.append(mem2)
        return torch.stack(spikes), torch.stack(mems)
"""


pytest.importorskip("snntorch")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "stemmodels.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    import sys

    sys.modules.pop("stemmodels", None)


def float_network():
    rng = np.random.default_rng(0)
    spiking = LIF(np.array([0.5]), np.array([1.0]), Reset.ZERO, bias=np.zeros(1))
    readout = LIF(np.array([0.75]), np.zeros(1), Reset.NONE, True, bias=np.zeros(1))
    conv, dense = Conv2d(rng.normal(0, 1.5, (4, 2, 3, 3))), Dense(rng.normal(0, 1, (3, 64)))
    return SpikingNetwork(
        (InputPort("events", (2, 6, 6), REAL),),
        (
            Layer("first", (4, 4, 4), (Connection("events", conv),), spiking),
            Layer("out", (3,), (Connection("first", dense),), readout),
        ),
        Arithmetic.FLOAT,
    )


def test_a_nir_file_is_a_model_in_which_everything_spikes(folder, hybrid):
    network = float_network()
    nir.write(network, folder / "net.nir")
    events = (np.random.default_rng(1).random((3, 7, 2, 6, 6)) < 0.3).astype(np.float32)
    np.savez("in.npz", events=events)
    code, out, err = hybrid("partition", "net.nir", "--input-shape", "7,2,6,6", "--json")
    assert code == 0, err
    assert [(op["op"], op["target"]) for op in json.loads(out)["ops"]][1:3] == [("first", "chip"), ("out", "chip")]
    code, _, err = hybrid("compile", "net.nir", "--input-shape", "7,2,6,6", "--out", "bundle", "--calibrate", "in.npz")
    assert code == 0, err
    code, _, err = hybrid("run", "bundle", "in.npz", "--out", "out", "--check", "reference")
    assert code == 0, err
    truth = reference.run(network, {"events": events.astype(np.float64)}).potentials["out"]
    with np.load(folder / "out" / "outputs.npz") as archive:
        found = archive["output0"]
    assert found.shape == truth.shape == (3, 7, 3)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.99
    code, _, err = hybrid("partition", "net.nir", "--input-shape", "7,2,6,5")
    assert code == 2
    assert "STEPS,2,6,6" in err
    code, _, err = hybrid("partition", "net.nir")
    assert code == 2
    assert "STEPS,2,6,6" in err


def test_a_model_of_one_step_runs_over_all_steps_of_its_input(folder, hybrid):
    import stemmodels

    given = ("stemmodels:step", "--input-shape", "5,2,6,6", "--pin", "*", "--out", "bundle")
    values = (torch.rand(2, 5, 2, 6, 6, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    np.savez("in.npz", values=values.numpy())
    code, _, err = hybrid("compile", *given, "--calibrate", "in.npz")
    assert code == 0, err
    code, _, err = hybrid("run", "bundle", "in.npz", "--out", "out", "--check", "reference")
    assert code == 0, err
    net, state, steps = stemmodels.step().eval(), None, []
    with torch.no_grad():
        for t in range(5):
            out, state = net(values[:, t], state)
            steps.append(out)
    wanted = torch.stack(steps, 1).numpy()
    with np.load(folder / "out" / "outputs.npz") as archive:
        found = archive["output0"]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 0.2 * np.abs(wanted).max()


def test_the_host_runs_the_stem_feeds_the_chip_and_uses_both(folder, hybrid):
    import stemmodels

    images = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    np.savez("in.npz", image=images.numpy())
    given = ("stemmodels:Stem", "--input-shape", "3,6,6", "--pin", "*", "--out", "bundle")
    code, _, err = hybrid("compile", *given, "--calibrate", "in.npz")
    assert code == 0, err
    bundle = load_bundle(folder / "bundle")
    assert bundle.manifest.model.fed == ("stem_1.held",)
    assert bundle.network.inputs[0].bits == 8
    code, out, err = hybrid("run", "bundle", "in.npz", "--out", "out", "--check", "reference", "--json")
    assert code == 0, err
    assert json.loads(out)["outputs"] == [[4, 3], [4, 4]]
    with torch.no_grad():
        scores, means = stemmodels.Stem().eval()(images)
    with np.load(folder / "out" / "outputs.npz") as archive:
        assert np.allclose(archive["output1"], means.numpy(), atol=1e-6)
        assert np.abs(archive["output0"] - scores.numpy()).max() < 0.3 * float(scores.abs().max())
    feed = folder / "bundle" / "feed.json"
    feed.write_text(feed.read_text() + " ")
    code, _, err = hybrid("run", "bundle", "in.npz")
    assert code == 4
    assert "feed.json" in err


def test_a_layer_that_no_chip_can_run_is_run_by_the_host_with_the_users_own_cell(folder, hybrid):
    import stemmodels

    np.savez("in.npz", x=(np.random.default_rng(0).random((3, 64)) < 0.3).astype(np.float32))
    given = ("stemmodels:Both", "--input-shape", "64", "--pin", "lif1", "--calibrate", "in.npz")
    code, out, err = hybrid("partition", *given, "--json")
    assert code == 0, err
    facts = {op["op"]: (op["target"], op["violations"]) for op in json.loads(out)["ops"]}
    assert facts["lif1"][0] == "chip"
    assert facts["lif2"][0] == facts["lif2.potential"][0] == "host"
    assert "a step late, after the leak (beta = 0.95)" in facts["lif2"][1][0]
    code, _, err = hybrid("compile", *given, "--out", "bundle")
    assert code == 0, err
    bundle = load_bundle(folder / "bundle")
    model = stemmodels.Both().eval()
    with np.load("in.npz") as archive, torch.no_grad():
        x = torch.tensor(archive["x"])
        first, mem = [], model.lif1.init_leaky()
        for _ in range(8):
            spikes, mem = model.lif1(model.fc1(x), mem)
            first.append(spikes)
        model.lif2.reset_mem()
        spikes, mems = bundle.ann(torch.stack(first, 1))
        wanted = model(x)
    assert torch.equal(spikes, wanted[0])
    assert torch.allclose(mems, wanted[1], atol=1e-5)
    assert spikes.mean() > 0.01
