"""A slayer model: quantised already, so that the compiled model gives what the model gives, to the last spike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "models"


@pytest.mark.skipif(find_spec("lava.lib.dl") is None if find_spec("lava") else True, reason="lava-dl is not installed")
def test_a_slayer_model_is_compiled_and_runs_as_it_does_in_slayer(tmp_path):
    path = os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, FOLDER / "slayer_check.py", tmp_path / "bundle"], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["difference"] < 1e-5
    assert result["spikes"] > 1000
    assert result["flipped"] == 0
    assert result["delays"] == {"blocks.3": 3}
