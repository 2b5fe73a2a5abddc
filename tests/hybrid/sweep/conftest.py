"""Labelled clips, a chip that is too small, and points without a model."""

from __future__ import annotations

import shutil

import pytest

import hwsim.chip
from hybrid.report.model import Band
from hybrid.sweep import Point


@pytest.fixture
def clips(tmp_path, demo_clips):
    """A folder with one clip of each of two classes."""
    for clip, label in zip(demo_clips, ("Run", "Sit"), strict=True):
        (tmp_path / "clips" / label).mkdir(parents=True)
        shutil.copy(clip, tmp_path / "clips" / label)
    return tmp_path / "clips"


@pytest.fixture
def small_chip(tmp_path):
    """Loihi 1 with room for 60 source neurons per core: the tiny model's second layers have 72."""
    source = (hwsim.chip.resources.files("hwsim") / "chips" / "loihi1.toml").read_text()
    lines = ["inputs = 60" if line.startswith("inputs =") else line for line in source.splitlines()]
    assert "inputs = 60" in lines
    path = tmp_path / "small.toml"
    path.write_text("\n".join(lines).replace('name = "loihi1"', 'name = "small"'))
    return path


@pytest.fixture
def point():
    """Make a point from its nominal energy and latency; without an energy it does not fit."""

    def make(energy=1.0, latency=1.0, interval=11, **fields):
        def band(x):
            return None if x is None else Band(low=x / 2, nominal=x, high=2 * x)

        values = {
            "key": f"{energy} {latency} {interval} {fields}", "subject": "s", "model": "m", "interval": interval,
            "split": "a", "on_chip": ("a",), "chip": "c", "link": "l", "host": "h", "cores": 1, "link_bytes": 1000,
            "reason": None if energy else "too small", **fields,
        }  # fmt: skip
        return Point(energy_j=band(energy), latency_s=band(latency), **values)

    return make
