"""The commands and programs of the documentation run as they are written, and print what the page shows.

A block `sh` is run line by line, a block `python` is executed (one with a title is a file to write), and each line of
the block `text` that follows must be among what was printed since the block before, numbers and column widths aside.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from snn_export import lava

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ("tutorial.md", *(f"howto/{path.name}" for path in sorted((DOCS / "howto").glob("*.md"))))
BLOCK = re.compile(r"^```(sh|python|text)(?: title=\"(.+?)\")?\n(.*?)^```$", re.M | re.S)
PLAIN = re.compile(r"hybrid [^<>|]*")


@pytest.fixture
def workplace(tmp_path, monkeypatch, bundle_dir):
    """A folder like the project's, with the bundle that the tutorial leaves."""
    for name in ("hybrid/data", "hwsim/chips"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "loihi2").symlink_to(bundle_dir)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    return tmp_path


def form(line: str) -> str:
    """What a line says, without its numbers, their units and the widths of its columns."""
    line = re.sub(r"-?\d[\d.,]*( ?[numµk]?[JsWB])?\b", "#", line)
    return re.sub(r"[\s┃│━─┏┓┗┛]+", " ", line).strip()


def run_lines(block, hybrid):
    printed = []
    for line in block.splitlines():
        if PLAIN.fullmatch(line):
            code, out, err = hybrid(*shlex.split(line)[1:])
            assert code == 0, (line, err)
            printed += out.splitlines()
        else:
            done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
            assert done.returncode == 0, (line, done.stderr)
            printed += done.stdout.splitlines()
    return printed


def run_python(block):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(block, "<the page>", "exec"), {"__name__": "__main__"})
    return printed.getvalue().splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_true(page, workplace, hybrid):
    if page == "tutorial.md":
        if lava.available():
            pytest.skip(f"the tutorial checks against Lava: {lava.available()}")
        (workplace / "runs" / "loihi2").unlink()
    printed, commands, compared = [], 0, 0
    for kind, title, block in BLOCK.findall((DOCS / page).read_text()):
        if title:
            (workplace / title).write_text(block)
        elif kind == "sh":
            printed, commands = run_lines(block, hybrid), commands + 1
        elif kind == "python":
            printed = run_python(block)
        elif printed:
            found = [form(line) for line in printed]
            for line in block.splitlines():
                assert form(line) in found, (line, printed)
                compared += 1
            printed = []
    assert commands >= 1
    assert compared >= 1
