"""Many videos: found, read ahead, written as they come, gone on with, and failing one by one."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hwsim import engine
from hybrid.errors import BadInputError, HybridError, VerificationError
from hybrid.report.model import Failure
from hybrid.runtime import backends
from hybrid.runtime import run as running
from hybrid.runtime.ahead import load_ahead
from hybrid.runtime.journal import Journal, read_lines, read_settings
from hybrid.runtime.run import run_videos, settings_of
from hybrid.runtime.sources import find_videos


@pytest.fixture(scope="module")
def folder(demo_clips, tmp_path_factory):
    """Five copies of the two real clips and one file that is no video."""
    root = tmp_path_factory.mktemp("videos")
    for i in range(5):
        shutil.copy(demo_clips[i % 2], root / f"v{i}.avi")
    (root / "v2.avi").write_text("no video")
    return root


@pytest.fixture
def settings(bundle):
    return settings_of(bundle, device="cpu", repeats=1)


def opened(tmp_path, settings, **options):
    return Journal(tmp_path / "run", settings, **options)


def test_files_folders_and_lists_give_each_video_once_in_order(folder, tmp_path):
    (tmp_path / "list.txt").write_text(f"# chosen\n{folder / 'v3.avi'}\n\n{folder / 'v0.avi'}\n")
    (tmp_path / "other.txt").write_text("here.avi\n")
    found = find_videos([str(folder / "v1.avi"), f"@{tmp_path / 'list.txt'}", str(folder)], [tmp_path / "other.txt"])
    assert [path.name for path in found] == ["v1.avi", "v3.avi", "v0.avi", "v2.avi", "v4.avi", "here.avi"]
    assert found[-1] == tmp_path / "here.avi"


def test_nothing_to_run_is_refused(tmp_path):
    for named, what in (([], "no video was given"), ([str(tmp_path)], "no videos"), (["@absent"], "cannot be read")):
        with pytest.raises(BadInputError, match=what):
            find_videos(named)


def test_a_failing_video_is_noted_and_the_others_are_the_same_as_alone(bundle, folder, tmp_path, settings):
    report = run_videos(bundle, find_videos([str(folder)]), settings, journal=opened(tmp_path, settings))
    assert [failure.video for failure in report.failures] == [str(folder / "v2.avi")]
    assert "cannot be read" in report.failures[0].what
    assert len(report.videos) == 4
    alone = run_videos(bundle, [folder / "v3.avi"], settings)
    assert report.videos[2].prediction == alone.videos[0].prediction
    assert report.videos[2].counts == alone.videos[0].counts
    lines = [json.loads(line) for _, line in read_lines(tmp_path / "run" / "videos.jsonl")]
    assert [line["failure"] is None for line in lines] == [True, True, False, True, True]


def test_what_is_finished_is_not_run_again_and_a_changed_file_is(bundle, folder, tmp_path, settings, monkeypatch):
    videos = [Path(shutil.copy(folder / name, tmp_path)) for name in ("v0.avi", "v1.avi")]
    first = run_videos(bundle, videos, settings, journal=opened(tmp_path, settings))
    loaded = []
    load = running.load_clip
    monkeypatch.setattr(running, "load_clip", lambda path, config: loaded.append(path) or load(path, config))
    again = run_videos(bundle, videos, settings, journal=opened(tmp_path, settings))
    assert not loaded
    assert again.videos == first.videos
    shutil.copy(folder / "v1.avi", videos[0])
    os.utime(videos[0], ns=(1, 1))
    third = run_videos(bundle, videos, settings, journal=opened(tmp_path, settings))
    assert set(loaded) == {videos[0]}
    assert third.videos[0].counts == third.videos[1].counts == first.videos[1].counts
    run_videos(bundle, videos, settings, journal=opened(tmp_path, settings, fresh=True))
    assert set(loaded) == set(videos)
    assert len(list(read_lines(tmp_path / "run" / "videos.jsonl"))) == 2


def test_a_half_line_of_a_killed_run_is_dropped(bundle, folder, tmp_path, settings):
    videos = [folder / "v0.avi", folder / "v1.avi"]
    whole = run_videos(bundle, videos, settings, journal=opened(tmp_path, settings))
    path = tmp_path / "run" / "videos.jsonl"
    path.write_bytes(path.read_bytes()[:-100])
    journal = opened(tmp_path, settings)
    assert [journal.holds(video) for video in videos] == [True, False]
    assert run_videos(bundle, videos, settings, journal=journal).videos[1].counts == whole.videos[1].counts
    assert len(list(read_lines(path))) == 2


def test_a_folder_of_another_bundle_or_settings_is_refused_with_the_difference(bundle, folder, tmp_path, settings):
    run_videos(bundle, [folder / "v0.avi"], settings, journal=opened(tmp_path, settings))
    before = sorted((tmp_path / "run").iterdir())
    for change, what in (
        ({"bundle": "0" * 64}, "another bundle"),
        ({"check": ("reference",)}, "check was none, not reference"),
    ):
        with pytest.raises(BadInputError, match=what) as error:
            opened(tmp_path, settings.model_copy(update=change))
        assert "--fresh" in error.value.fix
    run = tmp_path / "run" / "run.json"
    run.write_text(run.read_text().replace('"schema_version": 1', '"schema_version": 9'))
    with pytest.raises(BadInputError, match="schema version 9"):
        opened(tmp_path, settings)
    run.unlink()
    with pytest.raises(BadInputError, match=r"no run\.json"):
        opened(tmp_path, settings)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInputError, match="it is a file"):
        Journal(tmp_path / "file", settings)
    assert sorted((tmp_path / "run").iterdir()) == [path for path in before if path != run]


def test_a_full_disk_keeps_what_is_written_and_says_so(tmp_path, settings):
    journal = opened(tmp_path, settings)
    failure = Failure(video="a", where="a", what="x" * 400, fix="y")
    journal.add(tmp_path / "a.avi", failure)
    before = (tmp_path / "run" / "videos.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, hard))
    try:
        with pytest.raises(HybridError, match="cannot be written") as error:
            journal.add(tmp_path / "b.avi", failure)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.exit_code == 1
    assert "make room" in error.value.fix
    assert (tmp_path / "run" / "videos.jsonl").read_bytes() == before
    journal.add(tmp_path / "b.avi", failure)
    journal.close()
    assert len(list(read_lines(tmp_path / "run" / "videos.jsonl"))) == 2
    assert read_settings(tmp_path / "run") == settings


def test_two_backends_that_differ_stop_the_run(bundle, folder, tmp_path, monkeypatch):
    checked = settings_of(bundle, check=["reference"], device="cpu", repeats=1)

    def broken(network, inputs):
        recording = engine.run(network, inputs).recording
        recording.potentials["stm_motion.1"][2, 1, 0, 2, 1] ^= 1
        return recording

    monkeypatch.setattr(backends.reference, "run", broken)
    with pytest.raises(VerificationError, match="GOP 2, step 1"):
        run_videos(bundle, [folder / "v0.avi", folder / "v1.avi"], checked, journal=opened(tmp_path, checked))
    assert not (tmp_path / "run").exists()


def test_items_are_loaded_ahead_in_order_and_never_more_than_asked_for():
    started, lock = [], threading.Lock()

    def load(item):
        with lock:
            started.append(item)
        if item == 5:
            raise ValueError(item)
        return item * 2

    for readers in (0, 1, 3):
        started.clear()
        for number, (item, get) in enumerate(load_ahead(iter(range(9)), load, readers)):
            assert item == number
            if item == 5:
                with pytest.raises(ValueError, match="5"):
                    get()
            else:
                assert get() == 2 * item
            assert len(started) <= number + 1 + readers
        assert sorted(started) == list(range(9))


def test_ctrl_c_ends_the_run_and_the_same_command_goes_on(hybrid, bundle_dir, folder, tmp_path):
    for i in range(40):
        (tmp_path / f"w{i:02}.avi").symlink_to(folder / f"v{i % 2}.avi")
    out = tmp_path / "run"
    arguments = ["run", str(bundle_dir), str(tmp_path), "--out", str(out)]
    with subprocess.Popen([sys.executable, "-m", "hybrid", *arguments], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (out / "videos.jsonl").is_file():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    kept = (out / "videos.jsonl").read_text()
    assert kept.count("\n") < 40
    code, text, err = hybrid(*arguments, "--json")
    assert code == 0, err
    assert len(json.loads(text)["videos"]) == 40
    assert (out / "videos.jsonl").read_text().startswith(kept)
    assert (out / "videos.jsonl").read_text().count("\n") == 40


def test_ctrl_c_while_libraries_are_loaded_is_not_lost(bundle_dir, folder, tmp_path):
    """Torch and others swallow the exception of a Ctrl-C that comes while they are imported."""
    arguments = ["run", str(bundle_dir), str(folder), "--out", str(tmp_path / "run")]
    with subprocess.Popen([sys.executable, "-m", "hybrid", *arguments], stderr=subprocess.PIPE, text=True) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and "libtorch" not in maps.read_text():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_the_command_reports_what_failed_finishes_the_rest_and_ends_with_1(hybrid, bundle_dir, folder, tmp_path):
    code, out, err = hybrid(
        "run", bundle_dir, folder, folder / "absent.avi", "--out", tmp_path / "r", "--check", "torch"
    )
    assert code == 1
    assert out.count("energy") == 4
    assert "exact: hwsim, torch" in out
    assert "v2.avi" in err
    assert "no such file" in err
    assert (tmp_path / "r" / "report.html").is_file()
    code, out, err = hybrid("run", bundle_dir, folder / "v2.avi", folder / "absent.avi", "--out", tmp_path / "none")
    assert code == 1
    assert "none of 2 videos" in err
    assert sorted(path.name for path in (tmp_path / "none").iterdir()) == ["run.json", "videos.jsonl"]
