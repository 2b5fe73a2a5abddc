"""What a config and its ablation rows cost per video, by the paper's accounting, next to the paper's own figures.

    python benchmarks/costs.py CLIP ... [--config base] [--rows ROW ...] [--json FILE]

Multiply-accumulates are counted from the shapes (a test holds them against torch's own counter). Accumulates are
those of the spiking layers that meet a nonzero input, counted on every fourth view of real clips by a model whose
spiking layers are initialised on the first clip and not trained: a trained model's rates differ.
E = 4.6 pJ x MAC + 0.9 pJ x AC (Horowitz 2014, 45 nm).
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from hybrid.graph import trace
from hybrid.model import HybridModel, load_config
from hybrid.model.ablations import ABLATIONS, FULL
from hybrid.model.inputs import to_tensors
from hybrid.runtime.clip import load_clip
from hybrid.training.initialise import scale_to_firing_rate

MAC_J, AC_J = 4.6e-12, 0.9e-12
GOPS = 4
"""Of how many views one is looked at."""
PAPER_J = {FULL: 0.734, "cross attention": 0.93, "separate attention": 0.95}
"""Das Biswas et al. 2025, tables 1 and 5."""


def main() -> None:
    """Count every row and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("clips", type=Path, nargs="+")
    arguments.add_argument("--config", default="base")
    arguments.add_argument("--rows", nargs="*", default=list(ABLATIONS))
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    table = Table("row", "parameters [M]", "MAC [G/video]", "AC [G/video]", "energy [J/video]", "paper [J/video]")
    rows = []
    for name in options.rows:
        row = {"row": name, **count(options.config, ABLATIONS[name], options.clips)}
        rows.append(row)
        paper = PAPER_J.get(name) if options.config == "base" else None
        cells = f"{row['parameters_m']:.2f}", f"{row['gmac']:.1f}", f"{row['gac']:.2f}", f"{row['energy_j']:.3f}"
        table.add_row(name, *cells, "-" if paper is None else f"{paper}")
    Console(width=120).print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def count(config: str, changes: tuple[str, ...], clips: list[Path]) -> dict[str, float]:
    """Parameters, operations per video and joules per video of one row."""
    torch.manual_seed(0)
    model = HybridModel(load_config(config, changes)).eval()
    acs = []
    for i, clip in enumerate(clips):
        values = tuple(x[::GOPS] for x in to_tensors(load_clip(clip, model.config.input), model.config.input))
        if i == 0:
            scale_to_firing_rate(model, *values)
        ops = trace(model, values).ops.values()
        acs.append(sum(op.macs * op.activity for op in ops if op.spiking))
    views = model.config.input.views
    gmac = sum(op.macs for op in ops if not op.spiking) * views / 1e9
    gac = statistics.mean(acs) * views / 1e9
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    return {"parameters_m": parameters, "gmac": gmac, "gac": gac, "energy_j": (gmac * MAC_J + gac * AC_J) * 1e9}


if __name__ == "__main__":
    main()
