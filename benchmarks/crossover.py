"""Event by event against all at once: one layer of the engine both ways, at densities from 1 to 100 %.

    python benchmarks/crossover.py --json crossover.json

The engine chooses by a model of both costs (`hwsim.engine.crossover`), whose constants come from here. Both ways
give the same bits; the last column says which one the model picks, and what a wrong pick would cost.
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
from rich.table import Table

from hwsim.engine import Engine, population
from hwsim.engine.crossover import prefers_dense
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


def median_ms(engine: Engine, inputs: dict[str, IntArray], dense: bool, repeats: int) -> float:
    """Milliseconds per step one way; the first run warms up."""
    times = []
    with mock.patch.object(population, "prefers_dense", return_value=dense):
        for _ in range(repeats + 1):
            begin = time.perf_counter()
            engine.run(inputs, "readout")
            times.append((time.perf_counter() - begin) / STEPS * 1e3)
    return statistics.median(times[1:])


def choice(engine: Engine, inputs: dict[str, IntArray]) -> bool:
    """What the engine picks by itself."""
    picked = []

    def note(*costs: float) -> bool:
        picked.append(prefers_dense(*costs))  # type: ignore[arg-type]
        return picked[-1]

    with mock.patch.object(population, "prefers_dense", note):
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
    table = Table("layer", "nonzero", "events", "at once", "picked", "lost by it")
    rows = []
    for name, (synapse, shape, bits) in cases().items():
        neuron = LIF(np.array([3686], np.int32), np.array([1000], np.int32))
        layer = Layer("out", synapse.output_shape(shape), (Connection("in", synapse),), neuron)
        engine = Engine(SpikingNetwork((InputPort("in", shape, bits),), (layer,)))
        for density in DENSITIES:
            inputs = inputs_of(shape, bits, density)
            times = [median_ms(engine, inputs, dense, arguments.repeats) for dense in (False, True)]
            picked = choice(engine, inputs)
            lost = times[picked] / min(times) - 1
            rows.append({"layer": name, "density": density, "events_ms": times[0], "dense_ms": times[1],
                         "picked": "dense" if picked else "events", "lost": lost})  # fmt: skip
            table.add_row(name, f"{density:.0%}", f"{times[0]:.3f} ms", f"{times[1]:.3f} ms",
                          "at once" if picked else "events", f"{lost:.0%}")  # fmt: skip
    Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"threads": arguments.threads, "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
