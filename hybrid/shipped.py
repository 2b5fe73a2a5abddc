"""What the package ships: a trained tiny model and two real clips."""

from __future__ import annotations

from pathlib import Path

_DATA = Path(__file__).parent / "data"

CHECKPOINT = _DATA / "tiny.safetensors"
"""The tiny model, trained on six actions."""

CLIPS = tuple(sorted((_DATA / "clips").glob("*.avi")))
"""Two clips of recording groups that it never saw."""
