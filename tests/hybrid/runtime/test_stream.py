"""Streams: a line per GOP while the video still comes in, the same as from the whole file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest

from hybrid.runtime.run import open_classifier, run_videos, settings_of
from hybrid.runtime.stream import classify_stream
from hybrid.video import Following, read


@pytest.fixture(scope="module")
def whole(bundle, demo_clips):
    """What the lines of the first clip must say."""
    with open_classifier(bundle, settings_of(bundle, device="cpu", repeats=1)) as classifier:
        return list(classify_stream(bundle, demo_clips[0], classifier))


def same(found, expected):
    return [(x["gop"], x.get("skipped"), x.get("prediction"), x.get("spikes")) for x in found] == [
        (x.gop, x.skipped, x.prediction and x.prediction.model_dump(), x.spikes) for x in expected
    ]


def test_every_whole_gop_gets_a_prediction_and_a_short_one_a_reason(whole, demo_clips, bundle):
    gops = list(read(demo_clips[0]))
    assert [x.gop for x in whole] == [gop.index for gop in gops]
    for line, gop in zip(whole, gops, strict=True):
        assert (line.skipped is None) == (gop.steps >= 11)
        if line.skipped is None:
            assert line.time_s == pytest.approx(gop.times[11])
            assert 0 < line.energy_j.low < line.energy_j.nominal < line.energy_j.high


def test_the_consensus_of_the_gops_that_a_run_samples_is_the_runs_prediction(bundle, demo_clips, whole):
    report = run_videos(bundle, demo_clips[:1], settings_of(bundle, device="cpu", repeats=1))
    usable = [line for line in whole if line.skipped is None]
    views = bundle.manifest.model.input.views
    chosen = [usable[int((i + 0.5) * len(usable) / views)] for i in range(views)]
    assert sum(line.spikes for line in chosen) == report.videos[0].counts.spikes
    assert sum(line.synops for line in chosen) == report.videos[0].counts.synops
    assert chosen[0].so_far == chosen[0].prediction or chosen[0].gop > 0
    assert set(usable[-1].so_far.probabilities) == set(report.prediction.probabilities)


def test_a_gop_is_classified_before_the_next_one_begins(bundle, demo_clips, tmp_path, whole):
    data = demo_clips[0].read_bytes()
    growing = tmp_path / "growing.avi"
    growing.write_bytes(data[: len(data) // 2])
    found, finish = [], threading.Event()

    def write_the_rest():
        assert finish.wait(60)
        with growing.open("ab") as file:
            file.write(data[len(data) // 2 :])

    thread = threading.Thread(target=write_the_rest)
    thread.start()
    settings = settings_of(bundle, device="cpu", repeats=1)
    with Following(growing, idle_s=1.0) as source, open_classifier(bundle, settings) as classifier:
        for line in classify_stream(bundle, source, classifier):
            found.append(line)
            finish.set()  # the second half is written only after a prediction from the first
    thread.join()
    assert same([line.model_dump() for line in found], whole)


def test_the_command_answers_on_a_pipe_while_it_is_still_open(bundle_dir, demo_clips, whole):
    command = [sys.executable, "-m", "hybrid", "run", str(bundle_dir), "-", "--device", "cpu", "--repeats", "1"]
    data = demo_clips[0].read_bytes()
    half = len(data) * 2 // 3
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(data[:half])
        process.stdin.flush()
        first = process.stdout.readline()  # comes although the rest of the video is not there yet
        process.stdin.write(data[half:])
        process.stdin.close()
        rest, err = process.stdout.read(), process.stderr.read().decode()
    assert process.returncode == 0, err
    assert same([json.loads(line) for line in (first + rest).splitlines()], whole)
    assert "GOPs classified" in err


def test_ctrl_c_ends_a_stream_that_gives_nothing_more(bundle_dir, demo_clips):
    command = [sys.executable, "-m", "hybrid", "run", str(bundle_dir), "-", "--device", "cpu", "--repeats", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(demo_clips[0].read_bytes()[:-20_000])
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: " in err.decode()


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_bad_streams_are_refused_with_a_clear_line(hybrid, bundle_dir, demo_clips, tmp_path, monkeypatch):
    (tmp_path / "notes.avi").write_text("no video")
    for arguments, what in (
        (("-", demo_clips[0]), "a stream is one video"),
        (("--follow", "absent.avi"), "cannot be followed"),
        (("--follow", tmp_path / "notes.avi", "--idle", "0.1"), "cannot be read"),
    ):
        code, out, err = hybrid("run", bundle_dir, *arguments)
        assert code == 2, err
        assert what in err
        assert not out
