"""A disk that is full when any file of a run is written: one clear line, nothing half written, all else kept."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

SCRIPT = """
import contextlib, io, json, os, shutil, sys
from pathlib import Path

from hybrid import cli
from hybrid.cli.common import err, out

bundle, clip, disk, whole, names = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5]
PAGE = 4096


def command(folder):
    sys.argv = ["hybrid", "run", bundle, clip, "--out", str(folder), "--device", "cpu", "--repeats", "1"]
    err.file, out.file = io.StringIO(), io.StringIO()
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0), err.file.getvalue()


def pages_of(path):
    return -(-path.stat().st_size // PAGE)


def files(folder):
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes().decode("latin-1") for path in found}


code, text = command(whole)
assert code == 0, text
order = [whole / name for name in names.split()]
assert set(names.split()) == set(files(whole))
found = []
for last in order:
    folder, filler = disk / "run", disk / "filler"
    shutil.rmtree(folder, ignore_errors=True)
    filler.write_bytes(b"")
    folder.mkdir()
    earlier, kept = order[: order.index(last)], []
    if earlier[3:]:  # what a run that was stopped before its report had written
        kept, earlier = earlier[:4], earlier[4:]
        for path in kept:
            shutil.copy2(path, folder)
    pages = sum(pages_of(path) for path in earlier) + pages_of(last) // 2
    before = files(folder)
    filler.write_bytes(b"x" * (os.statvfs(disk).f_bavail - pages) * PAGE)
    code, text = command(folder)
    left = files(folder)
    filler.write_bytes(b"")
    again, after = command(folder) if kept else (None, "")
    found.append({"full at": str(last.relative_to(whole)), "code": code, "text": text, "before": before, "left": left,
                  "again": again, "after": after, "whole": sorted(files(folder))})
print(json.dumps(found))
"""
MOUNT = 'mount -t tmpfs -o size=4m tmpfs "$3" && exec "$0" -c "$1" "$2" "$4" "$3" "$5" "$6"'
FILES = (
    "trace.json", "alternatives.json", "run.json", "videos.jsonl", "videos.parquet/part-000000.parquet", "report.json",
    "report.html", "report.md", "videos.csv",
)  # fmt: skip
"""Of a run, in the order in which they are written."""


@pytest.fixture(scope="module")
def fills(bundle_dir, demo_clips, tmp_path_factory):
    """One run per file with a disk, a real one of 4 MB, that is full when that file is written; then it has room."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("no mount namespace can be made here")
    disk, whole = tmp_path_factory.mktemp("disk"), tmp_path_factory.mktemp("whole") / "run"
    found = subprocess.run(
        ["unshare", "-rm", "sh", "-c", MOUNT, sys.executable, SCRIPT, bundle_dir, disk, demo_clips[0], whole,
         " ".join(FILES)],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout.splitlines()[-1])


def test_every_file_of_a_run_was_the_one_that_did_not_fit(fills):
    assert [fill["full at"] for fill in fills] == list(FILES)
    for fill in fills:
        assert "cannot be written: No space left on device" in fill["text"]
        assert f"/run/{fill['full at']}\n" in fill["text"]


def test_a_full_disk_is_one_clear_line_and_exit_code_1(fills):
    for fill in fills:
        assert fill["code"] == 1
        assert fill["text"].count("error: ") == 1
        assert "make room" in fill["text"]
        assert "bug" not in fill["text"]


def test_what_was_written_before_is_whole_and_nothing_else_is_left(fills):
    for fill in fills:
        assert set(fill["left"]) < set(FILES)
        assert fill["full at"] not in fill["left"] or fill["full at"] == "videos.jsonl"
        for name, text in fill["left"].items():
            if name.endswith(".json"):
                json.loads(text)
            assert text.endswith(("</html>", "\n", "PAR1")) or (name, text) == ("videos.jsonl", "")
        assert fill["left"].items() >= fill["before"].items()


def test_with_room_the_same_command_finishes(fills):
    went_on = [fill for fill in fills if fill["before"]]
    assert {fill["full at"] for fill in went_on} == set(FILES[4:])
    for fill in went_on:
        assert fill["again"] == 0, fill["after"]
        assert set(fill["whole"]) == set(FILES)
