"""The ablation rows on real clips: group-wise cross-validation, several seeds, mean and spread.

    python benchmarks/ablations.py DATA --synthetic FOLDER --out runs/ablations [--seeds 3] [--rows ROW ...]

Every row is pretrained once on the synthetic clips (`hybrid synthesize FOLDER`), then trained per fold and seed on
the other folds' clips and measured on its own, as a float model and, where it has spiking layers, as integers on
the simulator. No setting is chosen on a fold that is measured. Each result is a line of `results.jsonl`, written
as it comes: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from hybrid.datasets import folder
from hybrid.graph import trace
from hybrid.model import HybridModel, load_config
from hybrid.model.ablations import ABLATIONS, FULL
from hybrid.model.checkpoint import load_checkpoint
from hybrid.training.evaluate import evaluate
from hybrid.training.splits import Clips, folds_by_group
from hybrid.training.train import train

PRETRAINING = ("training.epochs=8",)
TRAINING = (
    "training.epochs=10", "training.batch=8", "training.learning_rate=2e-4", "training.later_starts=true",
    "training.quantised_from=0.5",
)  # fmt: skip
FOLDS = 2
"""The smallest class of the clips has two recording groups."""
ROWS = {
    **{name: changes for name, changes in ABLATIONS.items() if name in (
        FULL, "without STM", "common STM", "fixed leak and threshold", "ConvLSTM", "without accumulation",
        "MV", "R", "I + MV", "I + R", "MV + R")},
    "I": (*ABLATIONS["I"], "training.iframe_dropout=0.0"),
    # no fewer multiply-accumulates than the full model with its spiking ones: wider and deeper for two streams less
    "I, equal MACs": ('modalities=["iframe"]', "ann.dim=80", "ann.depth=8", "training.iframe_dropout=0.0"),
}  # fmt: skip


def main() -> None:
    """Run what is missing, then show all that is there."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--synthetic", type=Path, required=True)
    arguments.add_argument("--config", default="tiny")
    arguments.add_argument("--out", type=Path, default=Path("runs/ablations"))
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--rows", nargs="*", default=list(ROWS))
    options = arguments.parse_args()
    torch.set_num_threads(1)
    folds = folds_by_group(folder(options.data).clips, FOLDS)
    synthetic = folder(options.synthetic).clips
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    done = {(r["row"], r["fold"], r["seed"]) for r in map(json.loads, lines)}
    for seed in range(options.seeds):
        for row in options.rows:
            for fold in range(FOLDS):
                if (row, fold, seed) not in done:
                    record = one(row, fold, seed, folds, synthetic, options.config, options.out)
                    with results.open("a") as file:
                        file.write(json.dumps(record) + "\n")
    show([json.loads(line) for line in results.read_text().splitlines()])


def one(row: str, fold: int, seed: int, folds: tuple[Clips, ...], synthetic: Clips, name: str, out: Path) -> dict:
    """Train a row and measure it on a fold that it has not seen."""
    config = load_config(name, (*TRAINING, *ROWS[row]))
    start = load_checkpoint(pretrained(row, synthetic, name, out)).model
    training = tuple(clip for k, part in enumerate(folds) if k != fold for clip in part)
    target = out / f"{row.replace(' ', '_').replace(',', '')}-{fold}-{seed}.safetensors"
    result = train((training, ()), config, target, seed=seed, command="", initial=start, cache=out / "cache")
    checkpoint = load_checkpoint(target)
    record = {"row": row, "fold": fold, "seed": seed, "clips": len(folds[fold]), "compute_share": result.compute_share}
    record |= dict(zip(("macs", "spiking_macs"), macs(checkpoint.model), strict=True))
    record["torch"] = evaluate(checkpoint, folds[fold], "torch").top1
    if record["spiking_macs"]:
        record["hwsim"] = evaluate(checkpoint, folds[fold], "hwsim").top1
    return record


def pretrained(row: str, synthetic: Clips, name: str, out: Path) -> Path:
    """The row's checkpoint after the synthetic clips; made once, with settings of its own."""
    target = out / f"pretrained-{row.replace(' ', '_').replace(',', '')}.safetensors"
    if not target.exists():
        config = load_config(name, (*PRETRAINING, *ROWS[row]))
        train((synthetic, ()), config, target, seed=0, command="", cache=out / "cache")
    return target


def macs(model: HybridModel) -> tuple[int, int]:
    """Multiply-accumulates per GOP outside and inside spiking layers."""
    config = model.config.input
    side, steps = config.crop, config.steps
    example = torch.rand(1, 3, side, side), torch.rand(1, steps, 2, side, side), torch.rand(1, steps, 3, side, side)
    ops = trace(model, example).ops.values()
    return sum(op.macs for op in ops if not op.spiking), sum(op.macs for op in ops if op.spiking)


def show(records: list[dict]) -> None:
    """Mean over seeds and folds by clips, and the spread between seeds."""
    table = Table("row", "MMAC per GOP", "spiking", "top-1 float [%]", "+-", "top-1 integers [%]", "+-", "seeds")
    by_row = defaultdict(list)
    for record in records:
        by_row[record["row"]].append(record)
    for row, found in by_row.items():
        cells = []
        for backend in ("torch", "hwsim"):
            per_seed = [
                pooled([r for r in found if r["seed"] == s], backend) for s in sorted({r["seed"] for r in found})
            ]
            values = [x for x in per_seed if x is not None]
            cells += [f"{100 * statistics.mean(values):.1f}" if values else "-",
                      f"{100 * statistics.stdev(values):.1f}" if len(values) > 1 else "-"]  # fmt: skip
        first = found[0]
        table.add_row(row, f"{first['macs'] / 1e6:.1f}", f"{first['spiking_macs'] / 1e6:.1f}", *cells, str(len(values)))
    Console(width=140).print(table)


def pooled(records: list[dict], backend: str) -> float | None:
    """Top-1 over the clips of all folds; None until every fold is there."""
    found = [r for r in records if backend in r]
    if {r["fold"] for r in found} != set(range(FOLDS)):
        return None
    return sum(r[backend] * r["clips"] for r in found) / sum(r["clips"] for r in found)


if __name__ == "__main__":
    main()
