"""One video in other ways: the plain model computes the same, chips are counted by themselves, ranks hold or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ann_part.measure import Measurement
from hwsim import engine
from hwsim.chip import load, names
from hwsim.energy import energy
from hwsim.mapping import map_network
from hwsim.timing import step_times
from hybrid.model.inputs import chip_values
from hybrid.platform import host_of_device, load_host
from hybrid.report.model import Alternatives
from hybrid.runtime import account, alternatives
from hybrid.runtime.alternatives import alternatives_of
from hybrid.runtime.folder import run_to_folder
from hybrid.runtime.journal import Journal
from hybrid.runtime.plain import PlainModel, PlainNetwork, plain_inputs
from hybrid.runtime.run import run_videos, settings_of
from snn_export import reference
from snn_export.network import STATE_SHIFT


@pytest.fixture(scope="module")
def seen(bundle, demo_clips):
    """A run of a clip, and what it did."""
    found = []
    settings = settings_of(bundle, device="cpu", repeats=2)
    report = run_videos(bundle, demo_clips[:1], settings, look=lambda *given: found.append(given[1]))
    return report, found[0], settings


@pytest.fixture(scope="module")
def rows(bundle, seen):
    found = alternatives_of(bundle, "clip", seen[1], seen[2], lambda what, done, total: None)
    return {row.name: row for row in found.rows}


@settings(max_examples=25)
@given(data=st.data())
def test_a_random_network_in_plain_torch_is_the_reference_without_its_rounding(cases, data):
    """Without a leak nothing is rounded, and float32 must then give the reference's spikes and potentials."""
    network, inputs = data.draw(cases())
    for layer in network.layers:
        layer.neuron.keep[:] = np.where(layer.neuron.keep > 2048, 4096, 0)
        object.__setattr__(layer.neuron, "ukeep", 4096 if layer.neuron.ukeep else 0)
    truth = reference.run(network, inputs)
    if any(truth.saturations.values()):
        return  # real numbers know no limit
    found = PlainNetwork(network)({name: torch.from_numpy(x.astype(np.float32)) for name, x in inputs.items()})
    for layer in network.layers:
        if layer.neuron.readout:
            last = truth.potentials[layer.name][:, -1] / 2.0**STATE_SHIFT
            assert np.array_equal(found[layer.name].numpy(), last.astype(np.float32))
        else:
            assert np.array_equal(found[layer.name].numpy(), truth.spikes[layer.name])


def test_the_plain_model_predicts_as_the_run_does(bundle, seen, clip_views):
    with torch.inference_mode():
        logits = PlainModel(bundle)(*plain_inputs(bundle, clip_views))
    assert torch.allclose(logits.softmax(1), seen[1].scores.softmax(1), atol=0.02)


def test_every_shipped_chip_and_the_cpu_have_a_row_with_a_verdict(rows, bundle):
    assert set(rows) == {*names(), next(name for name in rows if name.endswith(", alone"))}
    for row in rows.values():
        assert row.energy_j.low <= row.energy_j.nominal <= row.energy_j.high
        ours = row.kind == "this run"
        assert (row.energy_is is None, row.time_is is None) == (ours, ours)
    assert rows["truenorth"].time_is == "higher"  # ticks of 1 ms against steps below 0.2 ms
    assert rows["loihi1"].energy_is == "undecided"


def test_this_run_s_row_is_the_report_s(rows, seen):
    video = seen[0].videos[0]
    assert rows["loihi2"].energy_j.nominal == pytest.approx(video.energy_j.nominal)
    assert rows["loihi2"].per_gop_s == video.latency_s.per_gop


def test_a_chip_s_row_is_its_own_count_and_near_the_one_of_a_placed_network(rows, seen, bundle, clip_views):
    report = seen[0]
    chip = load("loihi1")
    mapping = map_network(bundle.network, chip)
    counts = engine.run(bundle.network, chip_values(bundle.network, clip_views), mapping, record="readout").counts
    placed = energy(chip, mapping, counts, step_times(chip, mapping, counts)).total.nominal
    rest = report.videos[0].energy_j.by_part
    expected = placed + rest["link"].nominal + rest["ann"].nominal
    assert rows["loihi1"].energy_j.nominal == pytest.approx(expected, rel=2e-3)
    assert rows["loihi1"].energy_j.nominal != pytest.approx(report.videos[0].energy_j.nominal, rel=1e-2)


def test_the_whole_model_alone_is_timed_here_and_priced_by_its_dense_operations(rows, seen, bundle):
    row = next(row for row in rows.values() if row.kind == "device")
    usage = seen[1].usage
    macs = usage.ann_work.macs + int(usage.counts.synops_dense.sum())
    assert row.energy_j.nominal == pytest.approx(4.6e-12 * macs)
    assert 0 < row.per_gop_s.low <= row.per_gop_s.nominal <= row.per_gop_s.high
    assert "measured" in row.note
    assert row.energy_is == "lower"  # less than this run's for every value of the constants, which both share


def test_a_chip_that_cannot_hold_a_kernel_or_takes_too_many_cores_says_why(bundle, seen, monkeypatch):
    small = load("loihi1")
    core = small.core.model_copy(update={"synapse_memory_bytes": 16})
    chips = {"small": small.model_copy(update={"name": "small", "core": core}), "tianjic": load("tianjic")}
    monkeypatch.setattr(alternatives, "names", lambda: tuple(chips))
    monkeypatch.setattr(alternatives, "load", chips.get)
    monkeypatch.setattr(alternatives, "MOST_CORES", 200)
    found = alternatives_of(bundle, "clip", seen[1], seen[2], lambda what, done, total: None)
    rows = {row.name: row for row in found.rows}
    assert rows["small"].energy_j is rows["small"].time_is is None
    assert "does not fit a core of small" in rows["small"].note
    assert "16, " in rows["small"].note
    assert rows["tianjic"].energy_j is None
    assert "238 cores" in rows["tianjic"].note


def test_they_are_made_once_per_run_and_kept_when_it_goes_on(bundle, demo_clips, tmp_path, monkeypatch):
    calls, how = [], settings_of(bundle, device="cpu", repeats=1)
    made = alternatives_of
    monkeypatch.setattr("hybrid.runtime.folder.alternatives_of", lambda *x: calls.append(x[1]) or made(*x))
    for videos in (demo_clips[:1], demo_clips):
        journal = Journal(tmp_path, how)
        report, page = run_to_folder(bundle, videos, how, tmp_path, journal=journal)
        journal.close()
    assert calls == [str(demo_clips[0])]
    assert report.alternatives == Alternatives.model_validate_json((tmp_path / "alternatives.json").read_text())
    assert "undecided" in page.read_text()
    text = (tmp_path / "report.md").read_text()
    assert all(row.name in text for row in report.alternatives.rows)
    (tmp_path / "alternatives.json").write_text("{")
    assert run_to_folder(bundle, demo_clips, how, tmp_path, journal=Journal(tmp_path, how))[0].alternatives is None


def measured(device):
    return Measurement(torch.zeros(1), device, (0.001, 0.002, 0.004), "fp32", 1)


WORK = account.HostWork(1_000_000, 1000, account.Range(1.0, 2.0, 3.0))


def test_a_known_device_is_priced_by_its_power_times_the_measured_time():
    host = load_host("h100")
    power = host.times.power_busy
    (_, _, part) = account.host_energy(WORK, measured("NVIDIA H100 80GB HBM3"), host)
    assert part.energy_j.low == pytest.approx(power.low * 0.001)
    assert part.energy_j.nominal == pytest.approx(power.nominal * 0.002)
    assert part.energy_j.high == pytest.approx(power.high * 0.004)
    assert (part.kind, part.source) == ("busy power times measured time", power.source)


def test_another_device_is_priced_by_the_plan_and_never_as_nothing():
    (part,) = account.host_energy(WORK, measured("CPU, 2 threads"), load_host("h100"))
    assert (part.energy_j.low, part.energy_j.nominal, part.energy_j.high) == (1.0, 2.0, 3.0)
    parts = account.host_energy(WORK, measured("NVIDIA H100 80GB HBM3"), load_host("horowitz45"))
    assert account.total_of(parts).nominal == pytest.approx(4.6e-6)


def test_devices_are_known_by_the_whole_name_that_the_driver_gives():
    assert host_of_device("NVIDIA H100 80GB HBM3").name == "h100"
    assert host_of_device("NVIDIA A100-SXM4-40GB").name == "a100"
    for other in ("NVIDIA H100 PCIe", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA H200 NVL", "CPU, 2 threads"):
        assert host_of_device(other) is None


def test_a_run_with_a_gpu_profile_on_a_cpu_costs_what_is_planned(compiled_for_h100, demo_clips):
    report = run_videos(compiled_for_h100, demo_clips[:1], settings_of(compiled_for_h100, device="cpu", repeats=1))
    planned = [op for op in compiled_for_h100.manifest.plan["ops"] if op["target"] == "host"]
    views = compiled_for_h100.manifest.model.input.views
    assert report.energy_j.by_part["ann"].nominal == pytest.approx(views * sum(x["host_j"]["nominal"] for x in planned))
    assert report.energy_j.by_part["ann"].nominal > 0
    assert [part.kind for part in report.energy_j.by_kind if part.part == "ann"] == ["busy power times planned time"]


@pytest.fixture(scope="module")
def compiled_for_h100(checkpoint, clip_views, tmp_path_factory):
    from hybrid.bundle import load_bundle
    from hybrid.compile import compile_model
    from hybrid.partition import Aim
    from hybrid.platform import load_link

    folder: Path = tmp_path_factory.mktemp("h100") / "b"
    aim = Aim(("stm_motion", "stm_residual"))
    compile_model(checkpoint, clip_views, load("loihi2"), load_host("h100"), load_link("pcie4"), folder, aim=aim)
    return load_bundle(folder)
