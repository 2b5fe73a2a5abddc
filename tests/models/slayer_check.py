"""Compile and run the slayer model, in a process of its own: lava-dl changes how processes start.

    python slayer_check.py FOLDER

Prints, as JSON, the largest difference between the model's own scores and those of the compiled one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from slayer_model import build

from hwsim.chip import load
from hybrid.bundle import load_bundle
from hybrid.partition import Aim
from hybrid.platform import load_host, load_link
from hybrid.user.compile import Job, compile_user
from hybrid.user.inputs import ModelInput
from hybrid.user.run import run_tensors


def main(folder: Path) -> None:
    """Compile into `folder` and compare."""
    torch.set_num_threads(1)
    model = build().eval()
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(3, 2, 10, 10, 12, generator=generator) < 0.3).float()
    with torch.no_grad():
        own = model(x)
    declared = ModelInput(name="spikes", shape=(2, 10, 10, 12), batch_axis=0)
    job = Job("slayer_model:build", model, (declared,), {"spikes": x}, {"sha256": ""})
    compile_user(job, load("loihi2"), load_host("horowitz45"), load_link("pcie4"), folder, aim=Aim(("*",)))
    bundle = load_bundle(folder)
    outcome = run_tensors(bundle, {"spikes": x}, check=("reference",))
    result = {
        "difference": float(np.abs(outcome.outputs[0].numpy() - own.numpy()).max()), "spikes": outcome.spikes,
        "flipped": bundle.manifest.model.flipped, "delays": bundle.manifest.model.delays,
    }  # fmt: skip
    sys.stdout.write("\n" + json.dumps(result) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
