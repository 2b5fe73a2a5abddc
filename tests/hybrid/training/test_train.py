"""Training: the same result however often it is stopped, clear ends for bad losses, integers that agree."""

from __future__ import annotations

import contextlib
import csv
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from hybrid.datasets import folder
from hybrid.errors import BadInputError, HybridError
from hybrid.graph import trace
from hybrid.model import HybridModel, load_config
from hybrid.model.checkpoint import load_checkpoint
from hybrid.model.inputs import chip_values, input_ports, to_tensors
from hybrid.model.stm import ConvLIF
from hybrid.partition.extract import chip_layers
from hybrid.runtime.clip import load_clip
from hybrid.training import dataset
from hybrid.training.initialise import scale_to_firing_rate
from hybrid.training.splits import split_by_group
from hybrid.training.train import Hardware, train
from snn_export import reference
from snn_export.network import STATE_SHIFT
from snn_export.quantize import quantize

SMALL = (
    'classes=["Run","Sit"]', "input.resize=32", "input.crop=32", "input.views=2", "stm.channels=[4,4]",
    "stm.strides=[2,2]", "ann.patch=8", "ann.dim=16", "ann.depth=1", "ann.mixer_channels=8", "ann.rrdb_growth=4",
    "training.batch=2", "training.epochs=4", "training.quantised_from=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def clips(tmp_path_factory, demo_clips):
    """Two classes of two groups with one clip each."""
    root = tmp_path_factory.mktemp("clips")
    for clip, label in zip(demo_clips, ("Run", "Sit"), strict=True):
        (root / label).mkdir()
        for group in (1, 2):
            shutil.copy(clip, root / label / f"{label}_{group}_1.avi")
    return split_by_group(folder(root).clips, 0.5)


def fit(clips, out, *changes, seed=1, **kwargs):
    return train(clips, load_config("tiny", (*SMALL, *changes)), out, seed=seed, command="x", **kwargs)


def same_checkpoint(one, other):
    a, b = load_checkpoint(one), load_checkpoint(other)
    pairs = zip(a.model.state_dict().values(), b.model.state_dict().values(), strict=True)
    return a.notes == b.notes and all(torch.equal(x, y) for x, y in pairs)


class Stopped(Exception):
    pass


def test_a_stopped_training_goes_on_and_ends_with_the_same_bits(tmp_path, clips):
    unbroken = fit(clips, tmp_path / "a.safetensors")
    assert unbroken.resumed_from == 0
    assert unbroken.accuracy is not None

    def stop(done, loss):
        if done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        fit(clips, tmp_path / "b.safetensors", on_epoch=stop)
    assert not (tmp_path / "b.safetensors").exists()
    with pytest.raises(BadInputError, match="other settings"):
        fit(clips, tmp_path / "b.safetensors", seed=2)
    again = fit(clips, tmp_path / "b.safetensors", hardware=Hardware(workers=2))
    assert 1 <= again.resumed_from <= 2
    assert again.accuracy == unbroken.accuracy
    assert same_checkpoint(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert sorted(path.name for path in (tmp_path / "b.train").iterdir()) == ["logs", "settings.json"]


def test_a_training_stopped_after_its_last_epoch_finishes_with_the_same_bits(tmp_path, clips, monkeypatch):
    unbroken = fit(clips, tmp_path / "a.safetensors")

    def stop(*_):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr("hybrid.training.train.save_checkpoint", stop)
        with pytest.raises(Stopped):
            fit(clips, tmp_path / "b.safetensors")
    again = fit(clips, tmp_path / "b.safetensors")
    assert again.resumed_from == 4
    assert again.accuracy == unbroken.accuracy
    assert same_checkpoint(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert sorted(path.name for path in (tmp_path / "b.train").iterdir()) == ["logs", "settings.json"]


def test_the_state_is_written_beside_its_place_and_nowhere_else(tmp_path, clips, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    fit(clips, tmp_path / "a.safetensors", "training.epochs=1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "a.train"]


def test_a_state_that_cannot_be_written_ends_with_a_clear_error_and_keeps_the_one_before(tmp_path, clips, little_room):
    def fill(done, loss):
        if done == 2:
            room.enter_context(little_room(50_000))

    with contextlib.ExitStack() as room, pytest.raises(HybridError, match=r"last\.ckpt cannot be written") as error:
        fit(clips, tmp_path / "a.safetensors", on_epoch=fill)
    assert error.value.exit_code == 1
    assert fit(clips, tmp_path / "a.safetensors").resumed_from >= 1
    fit(clips, tmp_path / "b.safetensors")
    assert same_checkpoint(tmp_path / "a.safetensors", tmp_path / "b.safetensors")


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_train import fit, folder, split_by_group
fit(split_by_group(folder(Path(sys.argv[1])).clips, 0.5), Path(sys.argv[2]), "training.epochs=15")
"""


def test_a_killed_training_goes_on_and_ends_with_the_same_bits(tmp_path, clips):
    out, root = tmp_path / "k.safetensors", clips[0][0].path.parents[1]
    here = os.path.dirname(__file__)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(root), str(out), here], stderr=subprocess.DEVNULL)
    state = out.with_suffix(".train") / "state" / "last.ckpt"
    while not state.exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    resumed = fit(clips, out, "training.epochs=15")
    assert resumed.resumed_from > 0
    fit(clips, tmp_path / "whole.safetensors", "training.epochs=15")
    assert same_checkpoint(out, tmp_path / "whole.safetensors")


TOGETHER = ("ann.dropout=0", "training.epochs=8")


def begin(data: Path, out: Path, **kwargs) -> subprocess.Popen[bytes]:
    """The command itself, since Lightning starts it once more for the second process."""
    changes = [word for change in (*SMALL, *TOGETHER) for word in ("--set", change)]
    where = ["--accelerator", "cpu", "--devices", "2", "--out", str(out), "--held-out", "0.5", "--seed", "1"]
    script = Path(sys.executable).with_name("hybrid")
    command = [script, "train", data, *changes, *where]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **kwargs)


def test_two_processes_killed_and_resumed_end_where_one_ends(tmp_path, clips):
    data, out = clips[0][0].path.parents[1], tmp_path / "two.safetensors"
    first = begin(data, out)
    state = out.with_suffix(".train") / "state" / "last.ckpt"
    while not state.exists() and first.poll() is None:
        time.sleep(0.01)
    others = psutil.Process(first.pid).children(recursive=True)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL, "it ended before it could be killed"
    assert others
    assert not psutil.wait_procs(others, timeout=60)[1], "the other process lived on"
    _, error = (second := begin(data, out)).communicate(timeout=300)
    assert second.returncode == 0, error.decode()
    fit(clips, tmp_path / "one.safetensors", *TOGETHER)
    one, two = (load_checkpoint(path).model.state_dict() for path in (tmp_path / "one.safetensors", out))
    for name, weights in one.items():
        assert torch.allclose(weights, two[name], rtol=1e-3, atol=1e-4), name


def test_of_two_processes_only_the_one_that_cannot_write_says_so(tmp_path, clips):
    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # too few bytes for the state of an epoch

    started = begin(clips[0][0].path.parents[1], tmp_path / "two.safetensors", preexec_fn=small_files)
    _, error = started.communicate(timeout=300)
    assert started.returncode == 1
    assert error.decode().count("error: ") == 1
    assert "last.ckpt cannot be written" in error.decode()


@pytest.mark.parametrize(("clips_", "world"), [(7, 2), (8, 4), (3, 1), (2, 3)])
def test_processes_together_take_the_batches_and_the_clips_of_one(monkeypatch, clips_, world):
    def taken(sampler):
        found = []
        for rank in range(world):
            monkeypatch.setattr(dataset, "processes", lambda rank=rank: (rank, world))
            found.append(list(sampler))
            assert len(sampler) == len(found[-1])
        return found

    shares = taken(dataset.ShareSampler(clips_))
    times = world if clips_ < world else 1
    assert sorted(clip for share in shares for clip in share) == sorted([*range(clips_)] * times)
    monkeypatch.setattr(dataset, "processes", lambda: (0, 1))
    batch = 2 * world
    alone = list(dataset.EpochSampler(5 * batch + 1, 3, batch))
    each = taken(dataset.EpochSampler(5 * batch + 1, 3, batch))
    for step in range(5):
        together = [item for share in each for item in share[2 * step : 2 * step + 2]]
        assert together == alone[batch * step : batch * step + batch]


def test_a_batch_that_cannot_be_shared_out_is_refused(tmp_path, clips):
    with pytest.raises(BadInputError, match="2 clips of a step cannot be shared out evenly to 3 processes"):
        fit(clips, tmp_path / "m.safetensors", hardware=Hardware("cpu", devices=3))


def test_every_step_is_logged_as_csv_and_for_tensorboard(tmp_path, clips):
    result = fit(clips, tmp_path / "m.safetensors")
    logs = tmp_path / "m.train" / "logs"
    rows = list(csv.DictReader((logs / "csv" / "from_epoch_0" / "metrics.csv").open()))
    assert sum(bool(row["loss"]) for row in rows) == 4  # two clips in batches of two, four epochs
    assert float([row["accuracy"] for row in rows if row["accuracy"]][-1]) == pytest.approx(result.accuracy)
    assert list((logs / "tensorboard").rglob("events.out.tfevents*"))
    assert 0 < result.compute_share < 1


def test_a_loss_that_is_not_finite_ends_the_training_and_keeps_the_last_good_epoch(tmp_path, clips):
    with pytest.raises(HybridError, match=r"the loss is (nan|inf)") as error:
        fit(clips, tmp_path / "m.safetensors", "training.learning_rate=1e20")
    assert error.value.where == "epoch 2, step 1"
    kept = tmp_path / "m.train" / "last-good.safetensors"
    assert str(kept) in error.value.fix
    assert load_checkpoint(kept).notes == {"epochs": "1"}
    assert not (tmp_path / "m.safetensors").exists()


def test_a_state_that_cannot_be_read_is_refused_and_left_alone(tmp_path, clips):
    state = tmp_path / "m.train" / "state" / "last.ckpt"
    state.parent.mkdir(parents=True)
    for damaged in (b"", b"no state at all", pickle.dumps({"epoch": Path})):
        state.write_bytes(damaged)
        with pytest.raises(BadInputError, match="cannot be read"):
            fit(clips, tmp_path / "m.safetensors")
        assert state.read_bytes() == damaged


def test_a_broken_clip_ends_the_training_or_is_left_out_and_told(tmp_path, clips):
    broken = tmp_path / "Run_9_1.avi"
    broken.write_bytes(clips[0][0].path.read_bytes()[:20000])
    worse = (*clips[0], replace(clips[0][0], path=broken)), clips[1]
    with pytest.raises(BadInputError) as error:
        fit(worse, tmp_path / "m.safetensors")
    assert error.value.where == str(broken)
    told = []
    result = fit(worse, tmp_path / "n.safetensors", on_bad=lambda path, why: told.append((path, why)))
    assert result.train_clips == 2
    assert [path for path, _ in told] == [broken]
    assert "m.safetensors" not in {path.name for path in tmp_path.iterdir()}


def test_the_quantised_forward_pass_is_that_of_the_integer_network(demo_clips):
    torch.manual_seed(0)
    config = load_config("tiny")
    clip_views = load_clip(demo_clips[0], config.input)
    model = HybridModel(config)
    values = to_tensors(clip_views, config.input)
    scale_to_firing_rate(model, *values)
    graph = trace(model.eval(), values)
    names = [op.name for op in graph.ops.values() if op.spiking]
    network = quantize(input_ports(config.input), chip_layers(graph, names))
    truth = reference.run(network, {k: v[:1] for k, v in chip_values(network, clip_views).items()})

    def differing(quantised):
        for layer in model.modules():
            if isinstance(layer, ConvLIF):
                layer.quantised = quantised
        with torch.no_grad():
            spikes = model.stm_motion[1](model.stm_motion[0](values[1][:1]))
            readout = model.stm_motion(values[1][:1])[0]
        whole = truth.potentials["stm_motion.2"][0, -1] * (network.layer("stm_motion.2").scale / 2**STATE_SHIFT)
        wrong = (spikes.numpy() != truth.spikes["stm_motion.1"]).mean()
        return wrong, np.abs(readout.numpy() - whole).max() / np.abs(whole).max()

    assert np.array(truth.spikes["stm_motion.1"]).mean() > 0.01
    quantised, floating = differing(True), differing(False)
    assert quantised[0] < 1e-3  # what is left is the decay's truncation towards zero
    assert 3 * quantised[0] < floating[0]
    assert quantised[1] < floating[1]
