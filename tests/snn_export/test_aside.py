"""Places to write aside: nobody takes a living writer's, and somebody takes a dead one's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import snn_export
from snn_export.aside import claimed, exchange, sweep

HOLDER = """
import sys, time
from pathlib import Path
from snn_export.aside import claimed
with claimed(Path(sys.argv[1]), folder=sys.argv[2] == "folder") as place:
    (place / "half" if place.is_dir() else place).write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["file", "folder"])
def holder(request, tmp_path):
    """Another process that holds a place of `tmp_path/x`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(snn_export.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / "x", request.param], stdout=subprocess.PIPE, env=environment
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("folder", [False, True])
def test_a_place_is_empty_ours_and_gone_at_the_end(tmp_path, folder):
    with claimed(tmp_path / "x", folder=folder) as place:
        assert place.name == ".x.part"
        assert place.is_dir() == folder
    assert not names(tmp_path)


def test_what_was_renamed_stays_and_so_does_what_another_one_made_since(tmp_path):
    with claimed(tmp_path / "x") as place:
        place.write_text("new")
        place.rename(tmp_path / "x")
        place.write_text("another writer's")
    assert names(tmp_path) == [".x.part", "x"]
    assert (tmp_path / "x").read_text() == "new"


def test_the_place_of_a_living_writer_is_left_alone(tmp_path, holder):
    folder = (tmp_path / ".x.part").is_dir()
    with claimed(tmp_path / "x", folder=folder) as place:
        assert place.name == ".x.1.part"
        sweep(tmp_path / "x")
        assert names(tmp_path) == [".x.1.part", ".x.part"]
    assert names(tmp_path) == [".x.part"]


def test_the_place_of_a_killed_writer_is_taken_over_empty(tmp_path, holder):
    folder = (tmp_path / ".x.part").is_dir()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert names(tmp_path) == [".x.part"]
    with claimed(tmp_path / "x", folder=folder) as place:
        assert place.name == ".x.part"
        assert list(place.iterdir()) == [] if folder else place.read_bytes() == b""
    assert not names(tmp_path)


def test_places_of_killed_writers_are_swept_with_those_after_them(tmp_path):
    for name in (".x.part", ".x.1.part", ".x.2.part", ".y.part"):
        (tmp_path / name).write_text("half")
    with claimed(tmp_path / "x"):
        assert names(tmp_path) == [".x.part", ".y.part"]
    (tmp_path / ".y.1.part").mkdir()
    sweep(tmp_path / "y")
    assert not names(tmp_path)


def test_a_link_in_the_way_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("precious")
    (tmp_path / ".x.part").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="symbolic links"), claimed(tmp_path / "x"):
        pass
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_file_system_without_locks_gets_random_names(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    with claimed(tmp_path / "x") as one, claimed(tmp_path / "x") as other:
        assert one != other
        one.rename(tmp_path / "x")
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("native", [True, False])
def test_an_exchange_puts_the_new_folder_there_and_removes_the_old_one(tmp_path, monkeypatch, native):
    if not native:
        monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: object())
    target = tmp_path / "x"
    target.mkdir()
    (target / "old").write_text("old")
    with claimed(target, folder=True) as place:
        (place / "new").write_text("new")
        exchange(place, target)
    assert names(tmp_path) == ["x"]
    assert names(target) == ["new"]


def test_ctrl_c_while_the_old_folder_is_removed_leaves_nothing(tmp_path, monkeypatch):
    target, remove, calls = tmp_path / "x", shutil.rmtree, []
    target.mkdir()
    (target / "old").write_text("old")

    def interrupted(path, **options):
        calls.append(path)
        if len(calls) == 1:
            raise KeyboardInterrupt
        remove(path, **options)

    monkeypatch.setattr("shutil.rmtree", interrupted)
    with claimed(target, folder=True) as place:
        (place / "new").write_text("new")
        with pytest.raises(KeyboardInterrupt):
            exchange(place, target)
    assert names(tmp_path) == ["x"]
    assert names(target) == ["new"]
