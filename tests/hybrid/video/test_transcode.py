"""Re-encoding to the paper's format, one file and whole trees."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from hybrid.errors import BadInputError
from hybrid.video import read
from hybrid.video.reader import index
from hybrid.video.transcode import Format, plan_tree, transcode, transcode_tree


@pytest.fixture
def h264(tmp_path, clip_frames, encode):
    """B-frames, several references: what cannot be traced."""
    return encode(tmp_path / "new.mp4", clip_frames[:40], "libx264", gop_size=30)


def kinds(path):
    with av.open(str(path)) as container:
        return [int(frame.pict_type) for frame in container.decode(video=0)]


def test_h264_with_b_frames_becomes_gops_of_exactly_12_without_b_frames(h264, tmp_path, clip_frames, decode):
    with pytest.raises(BadInputError):
        next(read(h264))
    target = tmp_path / "out" / "old.avi"
    assert transcode(h264, target) == 40
    assert kinds(target) == ([1] + [2] * 11) * 3 + [1] + [2] * 3
    gops = list(read(target))
    frames = np.concatenate([np.concatenate([gop.iframe[None], gop.reconstruct()]) for gop in gops])
    assert np.array_equal(frames, decode(target))
    error = np.square(frames.astype(float) - clip_frames[:40]).mean()
    assert 10 * np.log10(255**2 / error) > 28
    assert [path.name for path in target.parent.iterdir()] == ["old.avi"]


def test_scene_cuts_insert_no_iframes(tmp_path, clip_frames, encode):
    cuts = np.concatenate([clip_frames[:9], clip_frames[:9][:, ::-1, ::-1], 255 - clip_frames[:9]])
    source = encode(tmp_path / "cuts.mp4", np.ascontiguousarray(cuts), "libx264")
    transcode(source, tmp_path / "cuts.avi")
    assert [entry.frames for entry in index(tmp_path / "cuts.avi")] == [12, 12, 3]


def test_lines_and_width_are_even_and_keep_the_aspect(tmp_path, clip_frames, encode):
    source = encode(tmp_path / "wide.mp4", np.ascontiguousarray(clip_frames[:13, :130, :318]), "libx264")
    transcode(source, tmp_path / "wide.avi", Format(lines=64, gop=5))
    assert next(read(tmp_path / "wide.avi")).iframe.shape == (64, 156, 3)
    assert [entry.frames for entry in index(tmp_path / "wide.avi")] == [5, 5, 3]


def test_the_frame_rate_is_kept(tmp_path, demo_clips):
    transcode(demo_clips[0], tmp_path / "a.avi")
    assert np.allclose(next(read(tmp_path / "a.avi")).times, np.arange(12) / 30, atol=1e-6)


@pytest.mark.parametrize("damage", ["text", "half", "absent"])
def test_a_broken_source_is_refused_and_leaves_nothing(tmp_path, demo_clips, damage):
    source = tmp_path / "in" / "bad.avi"
    source.parent.mkdir()
    data = demo_clips[0].read_bytes()
    if damage != "absent":
        source.write_bytes(data[: len(data) // 2] if damage == "half" else b"no video")
    with pytest.raises(BadInputError):
        transcode(source, tmp_path / "out" / "bad.avi")
    assert not list((tmp_path / "out").iterdir() if (tmp_path / "out").exists() else [])


def test_a_folder_is_mirrored_resumed_and_broken_files_are_told(tmp_path, demo_clips):
    source, target = tmp_path / "in", tmp_path / "out"
    for name in ("a/one.avi", "a/two.avi", "b/three.avi"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(demo_clips[0], source / name)
    (source / "b" / "broken.mp4").write_text("no video")
    outcomes = {str(o.source.relative_to(source)): o for o in transcode_tree(source, target, 2)}
    assert {name: o.status for name, o in outcomes.items()} == {
        "a/one.avi": "done", "a/two.avi": "done", "b/three.avi": "done", "b/broken.mp4": "failed",
    }  # fmt: skip
    assert "cannot be re-encoded" in outcomes["b/broken.mp4"].reason
    assert sorted(str(p.relative_to(target)) for p in target.rglob("*.*")) == ["a/one.avi", "a/two.avi", "b/three.avi"]
    (target / "a" / "two.avi").unlink()
    again = {str(o.source.relative_to(source)): o.status for o in transcode_tree(source, target, 1)}
    assert again == {"a/one.avi": "skipped", "a/two.avi": "done", "b/three.avi": "skipped", "b/broken.mp4": "failed"}


def test_two_files_that_would_become_one_are_refused(tmp_path):
    for name in ("x.mp4", "x.mov"):
        (tmp_path / name).write_text("")
    with pytest.raises(BadInputError, match="same file"):
        plan_tree(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_stopped_run_leaves_whole_files_only_and_no_process(tmp_path, demo_clips, encode, clip_frames, name):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    long = encode(tmp_path / "long.mp4", np.concatenate([clip_frames] * 20), "libx264", {"preset": "ultrafast"})
    for i in range(6):
        shutil.copyfile(long, source / f"{i}.mp4")
    command = [sys.executable, "-m", "hybrid", "transcode", str(source), str(target), "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(target.glob(".*.part")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be stopped"
        process.send_signal(getattr(signal, name))
        process.wait(30)
    assert process.returncode != 0
    deadline = time.monotonic() + 10
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _alive(process.pid)
    for path in target.glob("*.avi"):
        assert sum(entry.frames for entry in index(path)) == 20 * len(clip_frames)
    assert not list(target.glob(".*.part"))


def _alive(session: int) -> bool:
    """Whether a process of that session is left, zombies aside."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                return True
    return False
