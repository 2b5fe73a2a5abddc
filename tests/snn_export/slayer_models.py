"""Random slayer models, run by slayer, in a process of their own: lava-dl changes how processes start.

    python slayer_models.py FOLDER MODELS

Each model leaves its input and outputs, its own netx export, and the network that `snn_export.slayer` makes of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from lava.lib.dl import slayer

from snn_export import files
from snn_export import slayer as ours

STEPS = 24


def blocks(rng: np.random.Generator) -> tuple[torch.nn.ModuleList, tuple[int, int, int]]:
    """Two convolutions, a dense layer and a read-out, in many variants."""
    shape = (int(rng.integers(1, 4)), int(rng.integers(6, 10)), int(rng.integers(6, 10)))

    def neuron(**more):
        return {
            "threshold": float(rng.uniform(0.2, 1.0)), "current_decay": float(rng.choice([1.0, 1.0, 0.6])),
            "voltage_decay": float(rng.uniform(0, 0.4)), **more,
        }  # fmt: skip

    late, normal = bool(rng.integers(2)), bool(rng.integers(2))
    norm = slayer.neuron.norm.MeanOnlyBatchNorm if rng.integers(2) else None
    size = {"weight_scale": 3, "delay_shift": late, "weight_norm": normal}
    made = [
        slayer.block.cuba.Conv(
            neuron(norm=norm),
            shape[0],
            4,
            (3, 2),
            stride=(1, 2),
            padding=(1, 0),
            dilation=(2, 1),
            **(size | {"weight_scale": 8}),
        ),
        slayer.block.cuba.Conv(neuron(), 4, 6, 3, padding=1, groups=2, **size),
        slayer.block.cuba.Flatten(),
    ]
    x = torch.zeros(1, *shape, 1)
    for block in made:
        x = block(x)
    # decays per channel: slayer draws them in the first pass, and on CPU for flat layers only
    own = neuron(shared_param=False, current_decay=(1, 1), voltage_decay=(0.1, 0.5))
    made.append(slayer.block.cuba.Dense(own, x.shape[1], 7, **size))
    made.append(slayer.block.cuba.Affine(neuron(), 7, 3, weight_scale=3))
    return torch.nn.ModuleList(made), shape


def main(folder: Path, models: int) -> None:
    """Write `models` models."""
    torch.set_num_threads(1)
    for seed in range(models):
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        net, shape = blocks(rng)
        for block in net:
            if getattr(getattr(block, "neuron", None), "norm", None) is not None:
                block.neuron.norm.running_mean = torch.tensor(rng.uniform(-0.4, 0.4, 4), dtype=torch.float32)
        net.eval()
        values = (rng.random((2, *shape, STEPS)) < 0.5).astype(np.float32)
        here = folder / str(seed)
        here.mkdir()
        outputs, x = {}, torch.tensor(values)
        with torch.no_grad():
            for i, block in enumerate(net):
                x = block(x)
                outputs[str(i)] = x.numpy()
        files.write(ours.read(net, shape), here)
        np.savez(here / "run.npz", input=values, late=net[0].delay_shift, **outputs)
        with h5py.File(here / "export.net", "w") as file:
            layer = file.create_group("layer")
            for i, block in enumerate(net):
                block.export_hdf5(layer.create_group(str(i)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
