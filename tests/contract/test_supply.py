"""The supply chain: every pin has its hashes and is what is installed, the wheel is the same from any folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
PINNED = tuple(map(int, (ROOT / ".python-version").read_text().split(".")))
SITE = [sysconfig.get_path("purelib")]
"""Where packages are installed; `sys.path` may also have what setuptools brings of its own once it is imported."""
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def test_every_pin_has_a_hash():
    blocks = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text().strip())
    assert len(blocks) > 100
    assert not [block.splitlines()[0] for block in blocks if not re.search(r"--hash=sha256:[0-9a-f]{64}", block)]


@pytest.mark.skipif(sys.version_info[:2] != PINNED, reason="the pins are for another Python")
def test_the_tests_run_with_what_is_pinned():
    pins = dict(PIN.findall((ROOT / "constraints.txt").read_text()))
    installed = {x.metadata["Name"].lower().replace("_", "-"): x.version for x in metadata.distributions(path=SITE)}
    wrong = {
        name: (version, installed[name]) for name, version in pins.items() if installed.get(name, version) != version
    }
    assert not wrong


def wheel(source: Path, out: Path) -> bytes:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", out]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (found,) = out.glob("*.whl")
    return found.read_bytes()


def test_the_wheel_is_the_same_byte_by_byte_from_another_folder_at_another_time(tmp_path):
    for name in ("hybrid", "snn_export", "ann_part", "hwsim", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert wheel(ROOT, tmp_path / "one") == wheel(tmp_path, tmp_path / "two")


def test_the_bill_of_materials_is_valid_and_names_every_package(tmp_path):
    target = tmp_path / "sbom.json"
    subprocess.run([sys.executable, ROOT / ".ci" / "sbom.py", target], check=True, capture_output=True)
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(target.read_text()) is None
    listed = {x["name"]: x["version"] for x in json.loads(target.read_text())["components"]}
    assert {"torch", "numpy", "av"} <= listed.keys()
    if sys.version_info[:2] == PINNED:
        assert "lava-nc" in listed
        assert listed == {n: v for n, v in PIN.findall((ROOT / "constraints.txt").read_text()) if n in listed}
