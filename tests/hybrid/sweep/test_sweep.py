"""Sweeps end to end: points, accuracies, what is kept, and what a user sees when something is wrong."""

from __future__ import annotations

import csv
import importlib
import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hybrid.runtime.clip
from hwsim.chip import load
from hybrid.datasets.folder import folder
from hybrid.model.inputs import input_ports
from hybrid.partition import Aim, make_plan
from hybrid.platform import load_host, load_link
from hybrid.shipped import CHECKPOINT
from hybrid.sweep import Axes, Point, Source, front_of, sweep
from hybrid.sweep.page import write_page
from hybrid.sweep.subject import load_subject
from hybrid.sweep.task import Target, Task, Work
from hybrid.training.evaluate import evaluate
from hybrid.training.scorer import Scorer

STMS = "stm_motion,stm_residual"


@pytest.fixture
def source(demo_clips):
    return Source(str(CHECKPOINT), calibration=demo_clips[0])


def axes(chips=("loihi2",), links=("pcie4",), hosts=("h100",), **rest):
    return Axes(tuple(map(load, chips)), tuple(map(load_link, links)), tuple(map(load_host, hosts)), **rest)


def test_the_help_has_an_example(hybrid):
    code, text, _ = hybrid("sweep", "--help")
    assert code == 0
    assert "Example:" in text


def test_every_cut_is_priced_as_the_planner_prices_it(source, traced, tmp_path, tiny):
    bits = {port.name: port.bits for port in input_ports(tiny.config.input)}
    points = sweep(source, axes(links=("pcie4", "onboard"), intervals=(11,)), tmp_path)
    assert len(points) == 15 * 2 + 1
    assert len({(p.on_chip, p.link) for p in points}) == len(points)
    for p in points[::6]:
        rest = [f"{name}=host" for name, op in traced.ops.items() if op.spiking and name not in p.on_chip]
        link = load_link("pcie4" if p.link == "none" else p.link)
        plan = make_plan(traced, load("loihi2"), load_host("h100"), link, bits, Aim((*p.on_chip, *rest)))
        assert p.on_chip == plan.on_chip
        assert p.energy_j.nominal == plan.energy_j
        assert p.latency_s.nominal == plan.latency_s
        assert (p.cores, p.link_bytes) == (plan.cores, sum(c.bytes for c in plan.crossings))
        assert p.energy_j.low < p.energy_j.nominal < p.energy_j.high
        assert p.latency_s.low < p.latency_s.nominal < p.latency_s.high


def test_a_shorter_interval_takes_less_of_everything(source, tmp_path):
    whole, five, one = sweep(source, axes(splits=(STMS,), intervals=(11, 5, 1)), tmp_path)
    for more, less in ((whole, five), (five, one)):
        assert less.energy_j.nominal < more.energy_j.nominal
        assert less.latency_s.nominal < more.latency_s.nominal
        assert less.link_bytes < more.link_bytes


def test_accuracy_is_that_of_the_integer_model_and_is_measured_once_for_all_chips(
    hybrid, checkpoint, clips, demo_clips, tmp_path, monkeypatch
):
    to = tmp_path / "s"
    given = ("sweep", CHECKPOINT, "--calibrate", demo_clips[0], "--split", STMS, "--split", "stm_motion.0",
             "--interval", 11, "--interval", 4, "--data", clips, "--out", to)  # fmt: skip
    code, out, err = hybrid(*given, "--chip", "loihi2", "--json")
    assert code == 0, err
    points = [Point.model_validate(x) for x in json.loads(out)["points"]]
    assert [(p.interval, p.split) for p in points] == [
        (11, "stm_motion.2, stm_residual.2"), (11, "stm_motion.0"),
        (4, "stm_motion.2, stm_residual.2"), (4, "stm_motion.0"),
    ]  # fmt: skip
    expected = evaluate(checkpoint, folder(clips).clips, "hwsim")
    assert (points[0].top1, points[0].samples) == (expected.top1, 2)
    # the demo's clips are right at the interval that the model was trained with
    assert points[0].top1 == points[1].top1 == 1.0
    monkeypatch.setattr("hybrid.sweep.subject.Scorer", None)  # measuring again would fail
    code, out, err = hybrid(*given, "--chip", "loihi2", "--chip", "loihi1", "--json")
    assert code == 0, err
    again = [Point.model_validate(x) for x in json.loads(out)["points"]]
    assert again[::2] == points
    assert [p.top1 for p in again[1::2]] == [p.top1 for p in points]
    assert all(p.chip == "loihi1" for p in again[1::2])


def test_each_labelled_clip_is_read_once_for_all_splits_and_intervals_and_by_a_sweep_that_goes_on(
    source, clips, tmp_path, monkeypatch
):
    reads, original, score = [], hybrid.runtime.clip.sample_each, Scorer.__call__
    at = Source(source.model, calibration=source.calibration, data=clips)
    load_subject(replace(at, cache=tmp_path / ".views"))  # reads the calibration clip

    def counted(path, *rest, **options):
        reads.append(path)
        return original(path, *rest, **options)

    def stopped(self, clip):
        if len(reads) == 2:
            raise KeyboardInterrupt
        return score(self, clip)

    monkeypatch.setattr("hybrid.runtime.clip.sample_each", counted)
    taken = axes(splits=(STMS, "stm_motion.0"), intervals=(11, 4))
    monkeypatch.setattr(Scorer, "__call__", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep(at, taken, tmp_path)
    monkeypatch.setattr(Scorer, "__call__", score)
    assert len(sweep(at, taken, tmp_path)) == 4
    assert sorted(reads) == sorted(clip.path for clip in folder(clips).clips)
    assert not (tmp_path / ".views").exists()


def test_a_stopped_sweep_keeps_its_points_and_goes_on(hybrid, demo_clips, tmp_path, monkeypatch):
    to = tmp_path / "s"
    given = ("sweep", CHECKPOINT, "--calibrate", demo_clips[0], "--interval", 11, "--out", to)
    original, calls = Work.__call__, []

    def stopped(self, task):
        calls.append(task.split)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, task)

    monkeypatch.setattr(Work, "__call__", stopped)
    code, _, _ = hybrid(*given)
    assert code == 130
    assert len((to / "points.jsonl").read_text().splitlines()) == 3
    assert {path.name for path in to.iterdir()} == {"points.jsonl", "points.parquet"}
    code, out, err = hybrid(*given)
    assert code == 0, err
    assert "16 points" in out
    assert len(calls) == 4 + 13
    assert len(set(calls)) == 16
    code, _, err = hybrid(*given)
    assert code == 0, err
    assert len(calls) == 17


def test_what_does_not_fit_is_a_row_with_the_reason(hybrid, demo_clips, small_chip, tmp_path):
    to = tmp_path / "s"
    code, out, err = hybrid(
        "sweep", CHECKPOINT, "--calibrate", demo_clips[0], "--chip", small_chip, "--interval", 11, "--out", to
    )
    assert code == 0, err
    assert "does not fit small: layer 'stm_motion.1' does not fit a core" in out
    with (to / "points.csv").open() as file:
        rows = {row["split"]: row for row in csv.DictReader(file)}
    assert "a core has 60" in rows["stm_motion.2, stm_residual.2"]["reason"]
    assert rows["stm_motion.2, stm_residual.2"]["energy_j_nominal"] == ""
    assert rows["stm_motion.0"]["reason"] == ""
    assert "What does not fit" in (to / "sweep.html").read_text()


def test_the_page_needs_no_network_follows_the_reader_s_theme_and_rings_the_front(point, tmp_path):
    points = [point(1, 2, chip="one"), point(2, 1, chip="two"), point(3, 3, chip="two"), point(None, None)]
    front = front_of(points)
    html = write_page(points, front, tmp_path).read_text()
    assert "prefers-color-scheme: dark" in html
    assert "<link" not in html
    assert 'src="http' not in html
    rings = re.search(r'"name":"front, with ranges","x":(\[.*?\]),"y":(\[.*?\])', html)
    assert rings is not None
    assert [json.loads(x) for x in rings.groups()] == [[2.0, 1.0], [1.0, 2.0]]
    assert "<b>4 points</b>, 2 on the front, 1 that do not fit" in html


def test_a_page_without_latencies_says_so(source, tmp_path):
    points = sweep(source, axes(hosts=("horowitz45",), splits=(STMS,), intervals=(11,)), tmp_path)
    assert points[0].latency_s is None
    assert points[0].energy_j.nominal > 0
    html = write_page(points, front_of(points), tmp_path).read_text()
    assert "No point has a latency" in html


def test_a_user_s_model_is_swept_and_measured_on_labelled_arrays(hybrid, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "models"))
    inputs = (torch.rand(6, 7, 2, 16, 16, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    with torch.no_grad():
        scores = importlib.import_module("norse_model").build().eval()(inputs)
    labels = scores.argmax(1).numpy()
    labels[0] = (labels[0] + 1) % scores.shape[1]
    np.savez(tmp_path / "data.npz", events=inputs.numpy(), labels=labels)
    given = ("sweep", "norse_model:build", "--input-shape", "7,2,16,16", "--out", tmp_path / "s", "--json")
    code, out, err = hybrid(*given, "--data", tmp_path / "data.npz", "--interval", 7, "--interval", 3)
    assert code == 0, err
    points = [Point.model_validate(x) for x in json.loads(out)["points"]]
    assert [(p.interval, p.split) for p in points] == [
        (n, split) for n in (7, 3) for split in ("nothing on the chip", "lif1", "lif2")
    ]
    assert points[0].top1 == pytest.approx(5 / 6)
    assert all(0 <= p.top1 <= 1 and p.samples == 6 for p in points)
    np.savez(tmp_path / "bad.npz", events=inputs.numpy(), labels=labels[:2])
    code, _, err = hybrid(*given, "--data", tmp_path / "bad.npz")
    assert code == 2
    assert "class of each of 6 samples" in err


def test_a_network_from_a_file_is_swept(hybrid, bundle_dir, tmp_path):
    code, out, err = hybrid(
        "sweep", bundle_dir / "spiking.nir", "--input-shape", "4,2,56,56", "--input-shape", "4,3,56,56",
        "--out", tmp_path, "--json",
    )  # fmt: skip
    assert code == 0, err
    points = json.loads(out)["points"]
    assert len(points) == 16
    assert points[0]["interval"] == 4


@pytest.mark.parametrize(
    ("options", "code", "what"),
    [
        (("--split", "nowhere"), 2, "no spiking op is called 'nowhere'"),
        (("--split", "head"), 2, "no spiking op is called 'head'"),
        (("--interval", 12), 2, "12 steps, and the model takes 11"),
        (("--interval", 0), 2, "from 1 to 11"),
        (("--chip", "loihi9"), 2, "there is no chip"),
        (("--link", "rope"), 2, "no link profile"),
        (("--workers", 0), 2, "workers"),
        (("--data", "nowhere"), 2, "nowhere"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anything_is_written(
    hybrid, demo_clips, tmp_path, options, code, what
):
    found, _, err = hybrid("sweep", CHECKPOINT, "--calibrate", demo_clips[0], *options, "--out", tmp_path / "s")
    assert found == code, err
    assert what in err
    assert not (tmp_path / "s").exists()


def test_a_checkpoint_without_a_clip_and_clips_of_unknown_classes_are_refused(hybrid, clips, demo_clips, tmp_path):
    code, _, err = hybrid("sweep", CHECKPOINT, "--out", tmp_path / "s")
    assert code == 2
    assert "--calibrate" in err
    (clips / "Sit").rename(clips / "Nap")
    code, _, err = hybrid("sweep", CHECKPOINT, "--calibrate", demo_clips[0], "--data", clips, "--out", tmp_path / "s")
    assert code == 2
    assert "'Nap' is no class of the model" in err


def test_work_and_tasks_travel_to_other_processes(source):
    target = Target("k", load("loihi2"), load_link("pcie4"), load_host("h100"))
    task = Task(11, ("stm_motion.0",), "stm_motion.0", (target,), (0.5, 2))
    work, again = pickle.loads(pickle.dumps((Work(source), task)))
    assert again == task
    (point,) = work(again)
    assert (point.top1, point.samples, point.reason) == (0.5, 2, None)
