"""Event by event, by a table, or all at once: one layer of the engine every way, at densities from 1 to 100 %.

    python benchmarks/crossover.py --json crossover.json

The engine chooses by a model of the costs (`hwsim.engine.crossover`), whose constants come from here. All ways give
the same bits; the last columns say which one the model picks, and what a wrong pick would cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.table import Column, Table

from hwsim.engine import Engine
from hwsim.engine.crossover import Way, Work
from snn_export.network import LIF, Connection, Conv2d, Dense, InputPort, IntArray, Layer, SpikingNetwork, Synapse

STEPS = 11
DENSITIES = (0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)


def cases() -> dict[str, tuple[Synapse, tuple[int, ...], int]]:
    """Synapses, shape and bits of what enters, by name."""
    rng = np.random.default_rng(0)

    def weights(*shape: int, high: int = 20) -> IntArray:
        return rng.integers(-high, high + 1, shape, dtype=np.int8)

    return {
        "16 -> 16, 3x3, spikes": (Conv2d(weights(16, 16, 3, 3), (1, 1), (1, 1)), (16, 112, 112), 1),
        "64 -> 64, 3x3, spikes": (Conv2d(weights(64, 64, 3, 3), (1, 1), (1, 1)), (64, 56, 56), 1),
        "3 -> 16, 7x7 /2, 8 bits": (Conv2d(weights(16, 3, 7, 7, high=3), (2, 2), (3, 3)), (3, 112, 112), 8),
        "4096 -> 512, spikes": (Dense(weights(512, 4096, high=10)), (4096,), 1),
    }


def inputs_of(shape: tuple[int, ...], bits: int, density: float) -> dict[str, IntArray]:
    """One GOP with this share of nonzero values."""
    rng = np.random.default_rng(1)
    there = rng.random((1, STEPS, *shape)) < density
    sizes = 1 if bits == 1 else rng.integers(1, 2 ** (bits - 1), there.shape)
    return {"in": (there * sizes).astype(np.int16)}


def median_ms(engine: Engine, inputs: dict[str, IntArray], way: Way, repeats: int) -> float | None:
    """Milliseconds per step one way, where it can be done so; the first run warms up."""
    times, possible = [], []

    def forced(work: Work) -> Way:
        possible.append(way in work.costs())
        return way if possible[-1] else Way.EVENTS

    with mock.patch.object(Work, "cheapest", forced):
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            engine.run(inputs, "readout")
            times.append((time.perf_counter() - begin) / STEPS * 1e3)
    return statistics.median(times[1:]) if all(possible) else None


def choice(engine: Engine, inputs: dict[str, IntArray]) -> Way:
    """What the engine picks by itself."""
    picked, cheapest = [], Work.cheapest

    def note(work: Work) -> Way:
        picked.append(cheapest(work))
        return picked[-1]

    with mock.patch.object(Work, "cheapest", note):
        engine.run(inputs, "readout")
    return picked[0]


def main() -> None:
    """Run all cases, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--threads", type=int, default=1, help="threads of either way")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs; the median counts")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    table = Table(Column("layer", no_wrap=True), "nonzero", *(way.value for way in Way), "picked", "lost by it")
    rows = []
    for name, (synapse, shape, bits) in cases().items():
        neuron = LIF(np.array([3686], np.int32), np.array([1000], np.int32))
        layer = Layer("out", synapse.output_shape(shape), (Connection("in", synapse),), neuron)
        engine = Engine(SpikingNetwork((InputPort("in", shape, bits),), (layer,)))
        for density in DENSITIES:
            inputs = inputs_of(shape, bits, density)
            times = {way: median_ms(engine, inputs, way, arguments.repeats) for way in Way}
            possible = {way: spent for way, spent in times.items() if spent is not None}
            picked = choice(engine, inputs)
            lost = possible[picked] / min(possible.values()) - 1
            rows.append({"layer": name, "density": density, "ms": {way.value: times[way] for way in Way},
                         "picked": picked.value, "lost": lost})  # fmt: skip
            shown = ("-" if times[way] is None else f"{times[way]:.3f} ms" for way in Way)
            table.add_row(name, f"{density:.0%}", *shown, picked.value, f"{lost:.0%}")
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
