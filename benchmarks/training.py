"""Where the time of a training goes: computing, or waiting for clips.

    python benchmarks/training.py DATA [--config tiny] [--epochs 3] [--workers 0] [--json FILE]

The share is that of the epochs' wall time spent inside batches (forward, backward, step). The clips are prepared
before the first epoch, as in every training; preparing is timed apart, without and with a filled cache.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from hybrid.datasets import folder
from hybrid.model import load_config
from hybrid.training.splits import split_by_group
from hybrid.training.train import Hardware, train


def main() -> None:
    """Train twice on the same clips, the second time from the cache, and print the shares."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("data", type=Path)
    arguments.add_argument("--config", default="tiny")
    arguments.add_argument("--epochs", type=int, default=3)
    arguments.add_argument("--workers", type=int, default=0)
    arguments.add_argument("--json", type=Path)
    options = arguments.parse_args()
    config = load_config(options.config, (f"training.epochs={options.epochs}",))
    clips = split_by_group(folder(options.data).clips, 0.0)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for cached in (False, True):
            marks: list[float] = [time.perf_counter()]
            result = train(
                clips, config, Path(scratch) / "m.safetensors", seed=0, command="",
                hardware=Hardware(workers=options.workers), cache=Path(scratch) / "cache",
                on_load=lambda done, total, marks=marks: marks.append(time.perf_counter()) if done == total else None,
                on_epoch=lambda done, loss, marks=marks: marks.append(time.perf_counter()),
            )  # fmt: skip
            rows.append(
                {
                    "cached": cached, "clips": len(clips[0]), "threads": torch.get_num_threads(),
                    "prepare_s": marks[1] - marks[0], "epoch_s": (marks[-1] - marks[2]) / max(1, options.epochs - 1),
                    "compute_share": result.compute_share,
                }
            )  # fmt: skip
    table = Table("cache", "clips", "threads", "prepare [s]", "epoch [s]", "in compute")
    for row in rows:
        table.add_row(
            "filled" if row["cached"] else "empty", str(row["clips"]), str(row["threads"]), f"{row['prepare_s']:.1f}",
            f"{row['epoch_s']:.2f}", f"{row['compute_share']:.0%}",
        )  # fmt: skip
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
