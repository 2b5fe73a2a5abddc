"""Run the campaign: `python -m benchmarks.faults --kills 200 --seed 0 --out runs/faults.json`."""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

from benchmarks.faults.commands import Inputs, commands, compiling, prepare
from benchmarks.faults.life import RUN_S, Lab, Life, live
from benchmarks.faults.process import Warm, environment, start
from hybrid.files import make_folder, write_aside

MOST = 3
"""Kills of one life."""


def main() -> None:
    """Kill, count, and say what did not survive; the exit code is 1 where something did not."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", action="append", default=[], help="commands whose name begins so; repeatable")
    arguments.add_argument("--out", type=Path, help="JSON file for every kill")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        lives = campaign(Path(name), options.kills, options.seed, tuple(options.only))
    kills = [kill for life in lives for kill in life.kills]
    bad = [life for life in lives if life.faults or any(kill.faults for kill in life.kills)]
    print(f"{len(kills)} kills in {len(lives)} lives, {len(bad)} lives with a fault")
    if options.out:
        make_folder(options.out.parent)
        write_aside(options.out, (json.dumps([life.record() for life in lives], indent=1) + "\n").encode())
    raise SystemExit(1 if bad else 0)


def campaign(home: Path, kills: int, seed: int, only: tuple[str, ...]) -> list[Life]:
    """Lives of the commands in turn, until there were that many kills."""
    inputs, base, rng = prepare(home), environment(home), random.Random(seed)
    chosen = [command for command in commands(inputs) if not only or command.name.startswith(only)]
    with Warm(base) as warm:
        lab = Lab(home, base, warm)
        make_bundle(lab, inputs)
        for command in chosen:
            lab.measure(command)
            print(f"{command.name}: {lab.took[command.name][0]:.1f} s, {lab.took[command.name][1]:.1f} s cold", flush=True)
        lives: list[Life] = []
        while (count := sum(len(life.kills) for life in lives)) < kills:
            life = live(lab, chosen[len(lives) % len(chosen)], rng, min(rng.randint(1, MOST), kills - count))
            lives.append(life)
            show(life)
    return lives


def make_bundle(lab: Lab, inputs: Inputs) -> None:
    """The bundle that the runs take."""
    started = start(list(compiling(inputs, str(inputs.bundle))), lab.home, {}, lab.warm, lab.base)
    if started.wait(RUN_S) != 0:
        raise RuntimeError(started.stderr.read_text())


def show(life: Life) -> None:
    """A line for each kill, and for what is wrong."""
    clock = time.strftime("%H:%M:%S")
    for kill in life.kills:
        whom = "all" if kill.everyone else "first"
        print(
            f"{clock} {kill.command}{' (cold)' if kill.cold else ''}: {kill.signal} to {whom} after {kill.at_s:.2f} of "
            f"{kill.of_s:.1f} s: {kill.code} in {kill.ended_s:.2f} s, all gone in {kill.gone_s:.2f} s",
            *kill.faults, sep="\n    ", flush=True,
        )  # fmt: skip
    for fault in life.faults:
        print(f"    at the end: {fault}", flush=True)


if __name__ == "__main__":
    main()
