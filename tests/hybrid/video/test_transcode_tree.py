"""Re-encoding whole trees: resumed, stopped, and with workers that die."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pytest

from hybrid.errors import BadInputError
from hybrid.video.reader import index
from hybrid.video.transcode import Format
from hybrid.video.transcode_tree import plan_tree, transcode_tree


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


def test_only_a_whole_and_newer_result_of_the_same_settings_is_skipped(tmp_path, demo_clips):
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("cut.avi", "foreign.avi", "good.avi", "older.avi"):
        shutil.copyfile(demo_clips[0], source / name)

    def statuses(form):
        return {o.source.name: o.status for o in transcode_tree(source, target, 1, form)}

    small = Format(lines=64)
    assert set(statuses(small).values()) == {"done"}
    assert set(statuses(small).values()) == {"skipped"}
    whole = (target / "cut.avi").read_bytes()
    (target / "cut.avi").write_bytes(whole[: len(whole) * 2 // 3])
    shutil.copyfile(demo_clips[0], target / "foreign.avi")
    os.utime(target / "older.avi", (0, 0))
    expected = {"cut.avi": "done", "foreign.avi": "done", "good.avi": "skipped", "older.avi": "done"}
    assert statuses(small) == expected
    assert (target / "cut.avi").read_bytes() == whole
    assert set(statuses(Format(lines=64, quantiser=9)).values()) == {"done"}


@pytest.mark.parametrize(("source", "target"), [("a", "a"), ("a", "a/out"), ("a/in", "a")])
def test_folders_that_hold_each_other_are_refused(tmp_path, source, target):
    (tmp_path / source).mkdir(parents=True)
    with pytest.raises(BadInputError, match="mix"):
        plan_tree(tmp_path / source, tmp_path / target)


def test_a_file_that_kills_its_worker_is_reported_and_the_rest_is_done(tmp_path, demo_clips, encode, clip_frames):
    source, target, over = tmp_path / "in", tmp_path / "out", threading.Event()
    source.mkdir()
    encode(source / "c-deadly.mp4", np.concatenate([clip_frames] * 10), "libx264", {"preset": "ultrafast"})
    for name in ("a", "b", "d", "e"):
        shutil.copyfile(demo_clips[0], source / f"{name}.avi")

    def kill_whoever_writes_it():
        while not over.wait(0.01):
            for child in psutil.Process().children():
                try:
                    if any(".c-deadly." in file.path for file in child.open_files()):
                        child.kill()
                except psutil.Error:
                    continue

    thread = threading.Thread(target=kill_whoever_writes_it)
    thread.start()
    try:
        outcomes = {o.source.stem: (o.status, o.reason) for o in transcode_tree(source, target, 2)}
    finally:
        over.set()
        thread.join()
    assert outcomes.pop("c-deadly") == ("failed", "a worker process died")
    # one that was renamed just before its worker was killed with the other is found to be there
    assert set(outcomes) == set("abde")
    assert set(outcomes.values()) <= {("done", ""), ("skipped", "")}
    assert all((target / f"{name}.avi").is_file() for name in "abde")
    assert sorted(path.name for path in target.iterdir()) == ["a.avi", "b.avi", "d.avi", "e.avi"]


def test_stopping_ends_its_own_workers_only(tmp_path, demo_clips):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("a.avi", "b.avi", "c.avi"):
        shutil.copyfile(demo_clips[0], source / name)
    bystander = get_context("spawn").Process(target=time.sleep, args=(600,))
    bystander.start()
    try:
        outcomes = transcode_tree(source, tmp_path / "out", 1)
        next(outcomes)
        workers = [c for c in psutil.Process().children() if "spawn_main" in " ".join(c.cmdline())]
        outcomes.close()
        assert [w.pid for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE] == [bystander.pid]
        assert not list((tmp_path / "out").glob(".*.part"))
    finally:
        bystander.kill()
        bystander.join()


def test_workers_that_cannot_start_are_reported_once(tmp_path, demo_clips):
    """A script without the guard that spawned processes need."""
    (tmp_path / "in").mkdir()
    shutil.copyfile(demo_clips[0], tmp_path / "in" / "a.avi")
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nfrom hybrid.video.transcode_tree import transcode_tree\n"
        f"print(list(transcode_tree(Path({str(tmp_path / 'in')!r}), Path({str(tmp_path / 'out')!r}), 1)))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "they die before they begin" in done.stderr


def test_two_files_that_would_become_one_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("x.mp4", "x.mov"):
        (tmp_path / "in" / name).write_text("")
    with pytest.raises(BadInputError, match="same file"):
        plan_tree(tmp_path / "in", tmp_path / "out")


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
