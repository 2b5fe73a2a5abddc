"""The front of energy and latency against pure GPU and the fixed cut behind the STM; and how long a compile takes.

    python benchmarks/partition.py --json partition.json

Every plan is held against the best of 1,000 random legal ones; the script fails where a random one is better.
Hypervolume: share of the box between the front's ideal point and 1.1 times the worst of all plans shown that is
beaten by the plan, or by some plan of the front. Costs are predicted; the hosts' are data sheet estimates.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from hwsim.chip import load
from hybrid.compile import compile_model, trace_model
from hybrid.graph import ModelGraph
from hybrid.model import HybridModel, load_config
from hybrid.model.checkpoint import Checkpoint, load_checkpoint
from hybrid.model.config import ModelConfig, unit_of
from hybrid.model.inputs import to_tensors
from hybrid.model.stm import SpikingTemporalModulator
from hybrid.partition import Aim
from hybrid.partition.cost import costs_of
from hybrid.partition.legality import violations
from hybrid.partition.price import constraints_of
from hybrid.partition.problem import Figures, Problem, allowed, figures
from hybrid.partition.solver import best, front
from hybrid.partition.stage import stage
from hybrid.platform import load_host, load_link
from hybrid.runtime.clip import load_clip
from hybrid.shipped import CHECKPOINT, CLIPS
from hybrid.training.initialise import scale_to_firing_rate
from hybrid.user.compile import Job, trace_user
from hybrid.user.inputs import ModelInput
from hybrid.user.job import make_job
from hybrid.video.transform import Views

TRIPLES = (("loihi2", "h100", "pcie4"), ("loihi1", "orin64", "ethernet10g"), ("tianjic", "orin64", "onboard"))
"""Chip, host and link."""
MODELS = Path(__file__).parents[1] / "tests" / "models"
EXAMPLES = {"norse_model": "7,2,16,16", "snntorch_model": "7,B,2,12,12", "own_model": "7,2,16,16",
            "slayer_model": "2,10,10,7"}  # fmt: skip
NEEDS = {"snntorch_model": "snntorch", "slayer_model": "lava.lib.dl"}
RANDOM = 1000
EQUAL = 1e-9
"""Relative difference below which two costs are the same: the solver counts in femtojoules and picoseconds."""
Traced = tuple[ModelGraph, dict[str, int]]


def base() -> tuple[Checkpoint, Views]:
    """The base model with random weights that spike, and a real clip."""
    torch.manual_seed(0)
    model = HybridModel(load_config("base")).eval()
    views = load_clip(CLIPS[0], model.config.input)
    scale_to_firing_rate(model, *(x[:1] for x in to_tensors(views, model.config.input)))
    return Checkpoint(model, {}, "random weights"), views


class Streams(nn.Module):
    """Six spiking temporal modulators of five layers side by side on one input: 6^6 ways to cut."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths = [(4 + 2 * i, 8, 8 + i, 12, 10) for i in range(6)]
        stms = [config.stm.model_copy(update={"channels": x, "strides": (2, 1, 2, 1, 2)}) for x in widths]
        self.stms = nn.ModuleList(SpikingTemporalModulator(2, stm, unit_of(config.input.motion_bits)) for stm in stms)
        self.head = nn.Linear(60, 6)

    def forward(self, motion: Tensor) -> Tensor:
        """Motion [B, T, 2, H, W] to [B, 6]."""
        return self.head(torch.cat([stm(motion).mean((2, 3)) for stm in self.stms], dim=1))


def streams() -> Traced:
    """The graph of `Streams` with random weights on a real clip."""
    torch.manual_seed(0)
    config = load_config("tiny")
    motion = to_tensors(load_clip(CLIPS[0], config.input), config.input)[1]
    declared = ModelInput(name="motion", shape=tuple(motion.shape[1:]), batch_axis=0)
    return trace_user(Job("streams", Streams(config).eval(), (declared,), {"motion": motion}, {}))


def cases() -> dict[str, Callable[[], Traced]]:
    """What is partitioned, by name."""

    def tiny() -> Traced:
        checkpoint = load_checkpoint(CHECKPOINT)
        return trace_model(checkpoint, load_clip(CLIPS[0], checkpoint.model.config.input))

    def example(name: str) -> Callable[[], Traced]:
        def traced() -> Traced:
            job = make_job(f"{name}:build", None, (EXAMPLES[name],), None)
            if job is None:
                raise RuntimeError(f"{name} is no factory")
            return trace_user(job)

        return traced

    # this folder's lava.py would hide lava-dl from the slayer model
    sys.path[:] = [str(MODELS), *(x for x in sys.path if Path(x).resolve() != Path(__file__).parent)]
    there = [name for name in EXAMPLES if name not in NEEDS or _found(NEEDS[name])]
    return {
        "tiny": tiny,
        "base": lambda: trace_model(*base()),
        "six streams": streams,
        **{name: example(name) for name in there},
    }


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def row(graph: ModelGraph, bits: dict[str, int], triple: tuple[str, str, str]) -> dict[str, Any]:
    """One model on one chip, host and link."""
    chip, host, link = load(triple[0]), load_host(triple[1]), load_link(triple[2])
    start = time.perf_counter()
    costs = costs_of(graph, chip, host, link, bits)
    legal = {name for name in costs.chip if not violations(graph.ops[name], graph)}
    problem = costs.problem(constraints_of(graph, legal))
    points = [point for _, point in front(problem)]
    plans = {goal: figures(problem, best(problem, goal)) for goal in ("energy", "latency")}
    seconds = time.perf_counter() - start
    fixed = stage(graph, {name for name in graph.populations if not violations(graph.ops[name], graph)})
    shown = {"front": points, "pure GPU": [figures(problem, ())],
             "STM|rest": [figures(problem, fixed)] if allowed(problem, fixed) else []}  # fmt: skip
    return {
        "case": triple, "ops": len(graph.ops), "free": len(problem.free), "seconds": seconds, "points": len(points),
        "energy_j": plans["energy"].energy_j, "latency_s": plans["latency"].latency_s,
        "hypervolume": hypervolumes(shown), "random": against_random(problem, plans, points),
        "front": [(x.energy_j, x.latency_s, x.cores) for x in points],
        "pure_gpu": _pair(shown["pure GPU"]), "stm_rest": _pair(shown["STM|rest"]),
    }  # fmt: skip


def against_random(problem: Problem, plans: dict[str, Figures], points: Sequence[Figures]) -> dict[str, float]:
    """How much the best of the random legal plans costs more than ours, by objective, as a share.

    Raises:
        RuntimeError: where one is better than ours, or beats a point of the front.
    """
    rng, producers = np.random.default_rng(0), _within(problem)
    tried = set()
    for _ in range(RANDOM):
        chosen, share = set[str](), rng.random()
        for name in problem.free:  # in topological order
            if producers[name] <= chosen and rng.random() < share:
                chosen.add(name)
        tried.add(frozenset(chosen))
    found = [figures(problem, chosen) for chosen in tried if allowed(problem, chosen)]
    margins: dict[str, float] = {"different": len(found)}
    for goal, key in (("energy", "energy_j"), ("latency", "latency_s")):
        margins[goal] = min(getattr(x, key) for x in found) / getattr(plans[goal], key) - 1
    beaten = [p for p in points for x in found if _better(x, p)]
    if beaten or margins["energy"] < -EQUAL or margins["latency"] < -EQUAL:
        raise RuntimeError(f"a random plan is better than ours: {margins}, beaten on the front: {beaten}")
    return margins


def hypervolumes(shown: dict[str, list[Figures]]) -> dict[str, float | None]:
    """Share of the common box that each set of plans beats; None of an empty set."""
    every = [(x.energy_j, x.latency_s or 0.0) for plans in shown.values() for x in plans]
    ideal, worst = np.min(every, axis=0), 1.1 * np.max(every, axis=0)
    found: dict[str, float | None] = {}
    for name, plans in shown.items():
        area, right = 0.0, worst[1]
        for energy, latency in sorted((x.energy_j, x.latency_s or 0.0) for x in plans):
            area += max(0.0, right - latency) * (worst[0] - energy)
            right = min(right, latency)
        found[name] = area / float(np.prod(worst - ideal)) if plans else None
    return found


def timed_compile() -> dict[str, Any]:
    """Seconds of every stage of partition and compile of the base model, wall and CPU."""
    checkpoint, views = base()
    marks: list[tuple[str, float, float]] = []

    def mark(stage: str) -> None:
        marks.append((stage, time.perf_counter(), time.process_time()))

    with tempfile.TemporaryDirectory() as folder:
        targets = load("loihi2"), load_host("h100"), load_link("pcie4")
        aim = Aim(("stm_motion", "stm_residual"))
        compile_model(checkpoint, views, *targets, Path(folder) / "bundle", aim=aim, on_stage=mark)
    mark("end")
    stages = {a[0]: (b[1] - a[1], b[2] - a[2]) for a, b in pairwise(marks)}
    return {"stages": stages, "wall_s": marks[-1][1] - marks[0][1], "cpu_s": marks[-1][2] - marks[0][2],
            "load": os.getloadavg()[0], "cpus": os.cpu_count()}  # fmt: skip


def _within(problem: Problem) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in problem.free}
    for producer, consumer in problem.edges:
        if consumer in found and producer not in problem.sources:
            found[consumer].add(producer)
    return found


def _better(one: Figures, other: Figures) -> bool:
    pairs = ((one.energy_j, other.energy_j), (one.latency_s or 0.0, other.latency_s or 0.0))
    return all(a <= b for a, b in pairs) and any(a < b * (1 - EQUAL) for a, b in pairs)


def _pair(plans: Sequence[Figures]) -> tuple[float, float | None] | None:
    return (plans[0].energy_j, plans[0].latency_s) if plans else None


def show(rows: dict[str, list[dict[str, Any]]], console: Console) -> None:
    """The table of fronts."""
    table = Table("model", "chip, host, link", "ops", "may move", "front", "least energy", "least latency", "plan s",
                  "volume: front", "pure GPU", "STM|rest", "best random: energy", "latency", "different")  # fmt: skip
    for name, of_model in rows.items():
        for r in of_model:
            volume = ["does not fit" if x is None else f"{x:.4f}" for x in r["hypervolume"].values()]
            table.add_row(
                name, ", ".join(r["case"]), str(r["ops"]), str(r["free"]), str(r["points"]),
                f"{r['energy_j'] * 1e3:.4g} mJ", f"{r['latency_s'] * 1e3:.4g} ms", f"{r['seconds']:.2f}", *volume,
                f"+{r['random']['energy']:.2%}", f"+{r['random']['latency']:.2%}", str(r["random"]["different"]),
            )  # fmt: skip
    console.print(table)


def main() -> None:
    """Partition all cases, time the compile, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    arguments = parser.parse_args()
    console = Console(width=None if os.isatty(1) else 220)
    rows = {}
    for name, traced in cases().items():
        graph, bits = traced()
        rows[name] = [row(graph, bits, triple) for triple in TRIPLES]
    show(rows, console)
    compiled = timed_compile()
    table = Table("stage", "wall s", "CPU s", title="partition and compile, base, loihi2")
    for stage_name, (wall, cpu) in compiled["stages"].items():
        table.add_row(stage_name, f"{wall:.1f}", f"{cpu:.1f}")
    table.add_row("all", f"{compiled['wall_s']:.1f}", f"{compiled['cpu_s']:.1f}")
    console.print(table)
    console.print(f"{compiled['cpus']} CPUs, load {compiled['load']:.1f}: above 1 per CPU, the wall time is not ours")
    if arguments.json:
        about = {"cpus": os.cpu_count(), "machine": platform.machine(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({"setup": about, "rows": rows, "compile": compiled}, indent=1) + "\n")


if __name__ == "__main__":
    main()
