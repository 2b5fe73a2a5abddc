"""A share of the fault campaign, and that the campaign sees what it looks for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest

from benchmarks.faults.leftovers import broken, leaked, segments, temporary
from benchmarks.faults.life import differences
from benchmarks.faults.process import MARK, Started

ROOT = Path(__file__).parents[2]
KILLS, PLACES = 3, 1
PARENT = """
import subprocess, sys, time
command = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(command, start_new_session=True).pid, flush=True)
time.sleep(60)
"""


def namespace() -> list[str]:
    """What to begin a command with for a /dev/shm of its own, as other tests leave segments meanwhile; [] if none."""
    own = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c"]
    own += ['mount -t tmpfs -o size=2g tmpfs /dev/shm && exec "$0" "$@"']
    possible = shutil.which("unshare") is not None and not subprocess.run([*own, "true"], check=False).returncode
    return own if possible else []


def test_a_share_of_the_campaign_loses_nothing(tmp_path):
    own = namespace()
    count = PLACES if own else 0
    command = [*own, sys.executable, "-m", "benchmarks.faults", "--kills", str(KILLS), "--places", str(count)]
    command += ["--seed", "0", "--out", str(tmp_path / "found.json")]
    for name in ("run", "train"):
        command += ["--only", name]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    kills = [kill for life in found["lives"] for kill in life["kills"]]
    assert len(kills) == KILLS
    assert all(kill["code"] is not None for kill in kills)
    assert len({kill["command"] for kill in kills}) == 2
    assert len(found["places"]) == count


@pytest.fixture
def started(tmp_path):
    """A process that leads a session, and one that it started in another session, both with the mark."""
    environment = os.environ | {MARK: "test-mark"}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], env=environment, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        orphan = int(process.stdout.readline())
        found = Started(process.pid, "test-mark", tmp_path / "stderr", _process=process)
        yield found, orphan
        found.send(signal.SIGKILL, everyone=True)


def test_a_process_in_a_session_of_its_own_is_found_after_its_parent(started):
    process, orphan = started
    assert sorted(process.alive()) == sorted([process.pid, orphan])
    process.send(signal.SIGKILL, everyone=False)
    assert process.wait(10) == -9
    assert [line.split(":")[0] for line in process.gone(0.2)] == [str(orphan)]
    process.send(signal.SIGKILL, everyone=True)
    assert process.gone(10) == []


def test_a_segment_that_nobody_holds_is_found_and_one_that_is_held_is_not():
    before = segments()
    shared = SharedMemory(create=True, size=4096)
    try:
        assert leaked(before) == []
        shared.close()
        began = time.monotonic()
        assert leaked(before) == [shared.name]
        assert time.monotonic() - began > 1, "another program's new segment needs time to be held"
    finally:
        shared.unlink()
    assert leaked(before) == []


@pytest.mark.parametrize(
    ("name", "half"),
    [("a.json", '{"a": '), ("a.jsonl", '{"a": \n{}\n'), ("a.csv", "a,b\n1\n"), ("a.html", "<html>"),
     ("a.safetensors", "half"), ("last.ckpt", "half"), ("bundle/manifest.json", "{}")],
)  # fmt: skip
def test_a_half_written_artefact_is_found(tmp_path, name, half):
    assert broken(tmp_path) == []
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(half)
    assert [line.split(":")[0] for line in broken(tmp_path)] == [name.partition("/")[0]]


def test_temporary_files_and_other_results_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("x", ".x.part", "a/.tmp123", "a/y.tmp"):
        (tmp_path / name).write_text("")
    assert temporary(tmp_path) == [".x.part", "a/.tmp123", "a/y.tmp"]
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 2}) == []
    assert differences({"a": 1}, {"a": 1, "b": 2}) == ["another result: b: None is not 2"]
