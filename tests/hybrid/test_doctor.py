"""The doctor tries every part for real, and a part that is broken is named with its repair."""

from __future__ import annotations

import json

import pytest

from hybrid import doctor as checks
from snn_export import lava


def test_everything_that_is_installed_here_works(hybrid):
    code, out, _ = hybrid("doctor", "--json")
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert code == 0
    assert set(found) == set(checks.CHECKS)
    for name in ("video reader", "simulator", "packages"):
        assert found[name]["verdict"] in ("ok", "warning"), found[name]
    if lava.available() is None:
        assert found["Lava"]["verdict"] == "ok"


def test_a_part_that_breaks_is_reported_and_the_others_are_still_tried(hybrid, monkeypatch):
    monkeypatch.setattr("hwsim.engine.run", lambda *_: 1 / 0)
    monkeypatch.setitem(checks.CHECKS, "Lava", lambda: ("ok", "left out of this test", ""))
    code, out, _ = hybrid("doctor")
    assert code == 1
    assert "failed simulator: ZeroDivisionError" in out
    assert "video reader" in out


def test_little_shared_memory_is_a_warning_with_its_repair(monkeypatch):
    monkeypatch.setattr(checks, "SHM_BYTES", 2**60)
    verdict, _, fix = checks.CHECKS["shared memory"]()
    assert verdict == "warning"
    assert "--shm-size" in fix or "Linux" in fix


@pytest.mark.parametrize("name", ["Python", "threads", "disk", "folders", "video encoders"])
def test_a_check_without_a_fault_has_no_repair(name):
    verdict, what, fix = checks.CHECKS[name]()
    assert what
    assert bool(fix) == (verdict != "ok")
