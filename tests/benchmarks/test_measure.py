"""Timing: what is read, what is decoded instead, and what is left out."""

from __future__ import annotations

import pytest

from benchmarks.tables.measure import FRAMES, GOP, MOST_GMAC, Speed, decode, measure, write_video
from benchmarks.tables.zoo import METHODS
from hybrid.shipped import CLIPS
from hybrid.video.reader import index


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(CLIPS[0], tmp_path_factory.mktemp("video") / "video.avi")


def test_the_video_is_ucf_101s_mean_in_the_papers_format(video):
    assert [entry.frames for entry in index(video)] == [GOP] * (FRAMES // GOP)


def test_as_many_frames_are_decoded_as_are_sampled(video):
    assert decode(video, 32) == 32
    assert decode(video, 320, 224) == FRAMES


def test_reading_and_decoding_are_measured_and_large_networks_left_out(video, monkeypatch):
    monkeypatch.setattr("benchmarks.tables.measure.MOST_CALLS", 2)
    found = measure([METHODS["MIMO"], METHODS["VideoMAE V2-g"]], video)
    small, large = found["MIMO"], found["VideoMAE V2-g"]
    assert small.left_out == ""
    assert small.saved_s == pytest.approx(small.decoding_s - small.reading_s)
    assert small.videos_per_second("cpu") < 1 / small.networks_s["cpu"]
    assert large.left_out == f"not run: 2543 GMAC a view, the limit here is {MOST_GMAC:.0f}"
    assert large.reading_s > 0
    assert large.saved_s is None
    assert large.videos_per_second("cpu") is None


def test_a_video_takes_reading_scaling_and_networks():
    assert Speed(0.1, 0.2, 0.3, {"cpu": 0.7}).videos_per_second("cpu") == pytest.approx(1.0)
