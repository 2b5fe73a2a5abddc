"""Running a bundle: predictions, accounting that adds up, and comparison of backends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ann_part.measure import DeviceError
from hwsim import engine
from hybrid.bundle import load_bundle
from hybrid.errors import BadInputError, VerificationError
from hybrid.model.inputs import chip_values, to_tensors
from hybrid.runtime import backends
from hybrid.runtime.run import run_videos, settings_of
from snn_export import lava, reference


@pytest.fixture(scope="module")
def report(bundle, demo_clips):
    return run_videos(bundle, demo_clips, settings_of(bundle, check=["reference"], device="cpu"))


def test_every_video_gets_a_label_and_probabilities_that_sum_to_one(report, demo_clips, tiny):
    assert [video.video for video in report.videos] == [str(clip) for clip in demo_clips]
    for video in report.videos:
        probabilities = video.prediction.probabilities
        assert set(probabilities) == set(tiny.config.classes)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert video.prediction.label == max(probabilities, key=probabilities.get)
        assert video.exact


def test_the_deployed_prediction_is_close_to_the_float_models(report, tiny, clip_views):
    with torch.no_grad():
        expected = tiny(*to_tensors(clip_views, tiny.config.input)).mean(0).softmax(0)
    found = np.array(list(report.videos[0].prediction.probabilities.values()))
    assert np.abs(found - expected.numpy()).max() < 0.1


def test_counts_equal_what_a_look_at_the_recording_gives(report, bundle, clip_views):
    network, counts = bundle.network, report.videos[0].counts
    inputs = chip_values(network, clip_views)
    recording = reference.run(network, inputs)
    assert counts.spikes == sum(int(spikes.sum()) for spikes in recording.spikes.values())
    steps = clip_views.motion.shape[0] * clip_views.motion.shape[1]
    assert counts.neuron_updates == steps * sum(layer.size for layer in network.layers)
    synops = macs = 0
    for layer in network.layers:
        (connection,) = layer.connections
        graded = connection.source in inputs
        values = inputs[connection.source] if graded else recording.spikes[connection.source]
        events = torch.from_numpy((values != 0).astype(np.float64)).flatten(0, 1)
        weight = torch.from_numpy((connection.synapse.weight != 0).astype(np.float64))
        synapse = connection.synapse
        met = int(torch.nn.functional.conv2d(events, weight, None, synapse.stride, synapse.padding).sum())
        synops, macs = synops + met, macs + met * graded
    assert counts.synops == synops
    assert counts.macs - counts.macs_ann == macs
    assert counts.acs == synops - macs
    assert counts.synops <= counts.synops_dense


def test_energy_adds_up_and_bands_are_ordered(report):
    for video in report.videos:
        energy = video.energy_j
        for edge in ("low", "nominal", "high"):
            total = getattr(energy, edge)
            assert total == pytest.approx(sum(getattr(part, edge) for part in energy.by_part.values()))
            assert total == pytest.approx(sum(getattr(part.energy_j, edge) for part in energy.by_kind))
        for band in (energy, *energy.by_part.values(), video.latency_s.response, video.throughput_vps):
            assert 0 < band.low <= band.nominal <= band.high
        assert all(part.source for part in energy.by_kind)


def test_energy_of_the_ann_part_is_its_macs_times_the_constant(report, bundle):
    views = bundle.manifest.model.input.views
    for video in report.videos:
        assert video.counts.macs_ann == views * bundle.manifest.host_macs
        assert video.energy_j.by_part["ann"].nominal == pytest.approx(4.6e-12 * video.counts.macs_ann)


def test_the_response_is_the_sum_of_what_stands_after_the_last_p_frame(report):
    video = report.videos[0]
    spans = video.timeline
    assert [span.lane for span in spans] == ["link", "chip", "chip", "chip", "link", "ann"]
    for before, after in itertools.pairwise(spans):
        assert after.start_s == pytest.approx(before.start_s + before.duration_s)
    end = spans[-1].start_s + spans[-1].duration_s
    assert end <= video.latency_s.response.nominal * (1 + 1e-9)  # the response is the slowest view's
    assert end > 0.5 * video.latency_s.response.nominal


def test_throughput_is_set_by_the_slowest_stage(report):
    video = report.videos[0]
    assert set(video.stages_s) == {"reader", "link", "chip", "ANN part"}
    slowest = max(stage.nominal for stage in video.stages_s.values())
    assert video.throughput_vps.nominal == pytest.approx(1 / slowest)


@pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))
def test_all_five_executors_agree_on_the_demo_clip(bundle, demo_clips):
    report = run_videos(bundle, demo_clips[1:], settings_of(bundle, check=backends.BACKENDS[1:5]))
    assert report.exact
    assert report.checked == ("hwsim", "torch", "reference", "lava-fused", "lava-stock")


def test_an_executor_is_made_once_for_all_clips(bundle):
    names = backends.BACKENDS[: 5 if lava.available() is None else 3]
    with backends.executors(bundle.network) as executor:
        assert all(executor(name) is executor(name) for name in names)
        with pytest.raises(BadInputError, match="no such backend"):
            executor("loihi")


def test_the_backend_does_not_change_the_prediction(bundle, demo_clips, report):
    other = run_videos(bundle, demo_clips[:1], settings_of(bundle, "reference"))
    assert other.videos[0].prediction == report.videos[0].prediction
    assert other.exact is None


def test_one_flipped_bit_in_a_backend_is_found_and_placed(bundle, demo_clips, monkeypatch):
    def broken(network, inputs):
        recording = engine.run(network, inputs).recording
        recording.potentials["stm_residual.1"][1, 4, 3, 2, 1] ^= 1
        return recording

    monkeypatch.setattr(backends.reference, "run", broken)
    with pytest.raises(VerificationError) as error:
        run_videos(bundle, demo_clips[:1], settings_of(bundle, check=["reference"]))
    assert "layer 'stm_residual.1', GOP 1, step 4, place (3, 2, 1)" in error.value.what


def test_tianjic_takes_several_chips_and_gives_the_same_answer(compiled, tmp_path, demo_clips, report):
    bundle = load_bundle(compiled(tmp_path / "t", chip="tianjic"))
    other = run_videos(bundle, demo_clips[:1])
    assert other.chip.chips > 1
    assert other.videos[0].prediction == report.videos[0].prediction
    assert other.latency_s.step_max.nominal == pytest.approx(16.83e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "error"),
    [({"backend": "brian"}, BadInputError), ({"device": "tpu"}, DeviceError), ({"check": ["x"]}, BadInputError)],
)
def test_an_unknown_backend_or_device_is_refused(bundle, options, error):
    with pytest.raises(error, match="no such"):
        settings_of(bundle, **options)
