"""Writing aside: all or nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hybrid
from hybrid.errors import BadInputError, HybridError
from hybrid.files import folder_aside, scratch_folder, write_aside


def test_a_block_that_fails_leaves_the_old_folder_and_no_trace(tmp_path):
    target = tmp_path / "out"
    with folder_aside(target, "mark") as aside:
        (aside / "mark").write_text("old")
    with pytest.raises(ZeroDivisionError), folder_aside(target, "mark") as aside:
        (aside / "mark").write_text(str(1 / 0))
    assert (target / "mark").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_block_that_ends_well_replaces_the_whole_folder(tmp_path):
    target = tmp_path / "out"
    for name in ("first", "second"):
        with folder_aside(target, "mark") as aside:
            (aside / "mark").write_text("")
            (aside / name).write_text("")
    assert sorted(path.name for path in target.iterdir()) == ["mark", "second"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_not_ours_is_never_replaced(tmp_path, kind):
    target = tmp_path / "out"
    if kind == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "mine").write_text("")
    with pytest.raises(BadInputError, match="holds no mark"), folder_aside(target, "mark"):
        pass


REPLACER = """
import sys
from pathlib import Path
from hybrid.files import folder_aside
target, turn = Path(sys.argv[1]), int(sys.argv[2])
while True:
    turn += 1
    with folder_aside(target, "mark") as aside:
        for name in ("mark", *map(str, range(20))):
            (aside / name).write_text(str(turn))
    print(turn, flush=True)
"""


def test_a_folder_that_is_replaced_is_whole_whenever_its_writer_is_killed(tmp_path):
    target, turn, rng = tmp_path / "out", 0, random.Random(0)
    environment = os.environ | {"PYTHONPATH": str(Path(hybrid.__file__).parents[1])}
    for _ in range(12):
        command = [sys.executable, "-c", REPLACER, str(target), str(turn)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            for _ in range(3):
                assert process.stdout.readline()
            time.sleep(rng.uniform(0, 0.003))
            process.kill()
        found = {path.name: path.read_text() for path in target.iterdir()}
        assert set(found) == {"mark", *map(str, range(20))}
        assert len(set(found.values())) == 1
        assert int(found["mark"]) >= turn + 3
        turn = int(found["mark"])
    with folder_aside(target, "mark") as aside:
        (aside / "mark").write_text("last")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in target.iterdir()] == ["mark"]


def test_a_file_that_cannot_grow_keeps_its_old_bytes(tmp_path, little_room):
    write_aside(tmp_path / "x", b"old")
    with little_room(100), pytest.raises(HybridError, match="x cannot be written: File too large") as error:
        write_aside(tmp_path / "x", b"new" * 1000)
    assert error.value.exit_code == 1
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_temporary_folder_of_a_killed_process_is_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f".hybrid-{os.geteuid()}.part"
    left.mkdir()
    (left / "copy.avi").write_text("half")
    with scratch_folder() as folder, scratch_folder() as other:
        assert folder == left
        assert other != folder
        assert not any(folder.iterdir())
    assert not any(tmp_path.iterdir())
