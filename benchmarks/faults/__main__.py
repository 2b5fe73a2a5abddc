"""Run the campaign: `python -m benchmarks.faults --kills 200 --places 72 --out runs/faults.json`."""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from dataclasses import asdict
from itertools import cycle, product
from pathlib import Path

from benchmarks.faults.commands import Inputs, commands, compiling, prepare
from benchmarks.faults.life import RUN_S, Lab, Life, live
from benchmarks.faults.places import Case, move_into_namespace, places
from benchmarks.faults.process import Warm, environment, start
from hybrid.files import make_folder, write_aside

MOST = 6
"""Kills of one life."""
HEAVIEST = 4
"""Turns of a command in a round."""


def main() -> None:
    """Kill, count, and say what did not survive; the exit code is 1 where something did not."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--places", type=int, default=0, help="how often a command meets a full disk, or the like")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", action="append", default=[], help="a command's name; repeatable")
    arguments.add_argument("--out", type=Path, help="JSON file for every kill and every place")
    options = arguments.parse_args()
    if options.places:
        move_into_namespace()
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        lives: list[Life] = []
        found: list[Case] = []
        try:
            campaign(Path(name), options, lives, found)
        except KeyboardInterrupt:
            print("stopped")
    kills = [kill for life in lives for kill in life.kills]
    bad = [life for life in lives if life.faults or any(kill.faults for kill in life.kills)]
    wrong = [case for case in found if case.faults]
    print(f"{len(kills)} kills in {len(lives)} lives, {len(bad)} lives with a fault")
    print(f"{len(found)} places, {len(wrong)} with a fault")
    if options.out:
        make_folder(options.out.parent)
        record = {"lives": [asdict(life) for life in lives], "places": [asdict(case) for case in found]}
        write_aside(options.out, (json.dumps(record, indent=1) + "\n").encode())
    raise SystemExit(1 if bad or wrong else 0)


def campaign(home: Path, options: argparse.Namespace, lives: list[Life], found: list[Case]) -> None:
    """Add lives of the commands in turn, until there were that many kills; then commands in places."""
    inputs, base, rng = prepare(home), environment(home), random.Random(options.seed)
    chosen = [command for command in commands(inputs) if not options.only or command.name in options.only]
    began = time.monotonic()
    with Warm(base) as warm:
        lab = Lab(home, base, warm, time.monotonic() - began)
        make_bundle(lab, inputs)
        for command in chosen:
            lab.measure(command)
            print(
                f"{command.name}: {lab.took[command.name][0]:.1f} s, {lab.took[command.name][1]:.1f} s cold", flush=True
            )
        turns = cycle(command for n in range(HEAVIEST) for command in chosen if n < command.weight)
        most = min(MOST, max(1, options.kills // (4 * len(chosen))))
        while (count := sum(len(life.kills) for life in lives)) < options.kills:
            lives.append(live(lab, next(turns), rng, min(rng.randint(1, most), options.kills - count)))
            show(lives[-1])
        pairs = list(product(chosen, places()))
        for command, place in pairs if options.places >= len(pairs) else rng.sample(pairs, options.places):
            found.append(case := place(lab, command, rng))
            clock = time.strftime("%H:%M:%S")
            print(f"{clock} {case.command}, {case.place}: {case.code}", *case.faults, sep="\n    ", flush=True)


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
