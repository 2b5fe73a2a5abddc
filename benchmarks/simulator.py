"""Time per step of the simulator's engine against a plain float forward and the integer reference.

    python benchmarks/simulator.py --json simulator.json

All rows run the same layers on the same input in the same process: 112 x 112, 2 -> 16 -> 16 channels, 11 steps,
mapped on Loihi 2. The plain forward is what a float simulation without counters or exactness would do.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from hwsim.chip import load
from hwsim.engine import Engine
from hwsim.mapping import map_network
from snn_export import reference
from snn_export.compare import first_difference
from snn_export.network import LIF, Connection, Conv2d, InputPort, IntArray, Layer, Reset, SpikingNetwork

STEPS = 11


def build() -> tuple[SpikingNetwork, dict[str, IntArray]]:
    """The network and one GOP of input, 20 % of the values nonzero."""
    rng = np.random.default_rng(0)
    shape: tuple[int, ...] = (2, 112, 112)
    port, source, layers = InputPort("motion", shape, 8), "motion", []
    for i in range(2):
        weight = rng.integers(-20, 21, (16, shape[0], 3, 3), dtype=np.int8)
        synapse = Conv2d(weight, (1, 1), (1, 1))
        shape = synapse.output_shape(shape)
        neuron = LIF(np.array([3686], np.int32), np.array([(1000, 60)[i]], np.int32), Reset.ZERO)
        layers.append(Layer(f"layer{i}", shape, (Connection(source, synapse),), neuron))
        source = f"layer{i}"
    values = rng.integers(-128, 128, (1, STEPS, *port.shape)).astype(np.int16)
    values[rng.random(values.shape) < 0.8] = 0
    return SpikingNetwork((port,), tuple(layers)), {"motion": values}


def float_forward(network: SpikingNetwork, inputs: dict[str, IntArray]) -> Callable[[], None]:
    """A plain torch float forward of the same layers: conv2d, leak, threshold, reset; nothing is kept."""
    weights = [
        torch.from_numpy(layer.connections[0].synapse.weight.astype(np.float32)).contiguous(
            memory_format=torch.channels_last
        )
        for layer in network.layers
    ]
    values = torch.from_numpy(inputs["motion"].astype(np.float32))

    @torch.inference_mode()
    def forward() -> None:
        potentials: list[torch.Tensor | float] = [0.0] * len(weights)
        for t in range(STEPS):
            s = values[:, t].contiguous(memory_format=torch.channels_last)
            for i, (weight, layer) in enumerate(zip(weights, network.layers, strict=True)):
                v = potentials[i] * 0.9 + F.conv2d(s, weight, padding=1)
                s = (v > float(layer.neuron.vth[0])).float()
                potentials[i] = v * (1 - s)

    return forward


def milliseconds_per_step(work: list[Callable[[], Any]], repeats: int) -> list[list[float]]:
    """Times of each piece of work, in turn so that all see the same machine; the first round warms up."""
    times: list[list[float]] = [[] for _ in work]
    for turn in range(repeats + 1):
        for i, function in enumerate(work):
            start = time.perf_counter()
            function()
            if turn:
                times[i].append((time.perf_counter() - start) * 1e3 / STEPS)
    return times


def main() -> None:
    """Run all rows, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    parser.add_argument("--repeats", type=int, default=9, help="timed runs of each row; the median counts")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network, inputs = build()
    plain, counting = Engine(network), Engine(network, map_network(network, load("loihi2")))
    expected = reference.run(network, inputs)
    difference = first_difference(network, expected, counting.run(inputs).recording)
    rows: dict[str, Callable[[], Any]] = {
        "engine, counters off": lambda: plain.run(inputs, "readout"),
        "engine, counters on": lambda: counting.run(inputs, "readout"),
        "engine, counters on, all recorded": lambda: counting.run(inputs),
        "plain torch float forward": float_forward(network, inputs),
        "integer reference (numpy)": lambda: reference.run(network, inputs),
    }
    times = milliseconds_per_step(list(rows.values()), arguments.repeats)
    base = statistics.median(times[1])
    results = {
        name: {"ms_per_step": statistics.median(t), "ms_min": min(t), "ratio": statistics.median(t) / base}
        for name, t in zip(rows, times, strict=True)
    }
    table = Table(title=f"112x112, 2->16->16, {STEPS} steps, {arguments.threads} threads")
    for heading in ("", "ms per step (median)", "fastest", "against counters on"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, r in results.items():
        table.add_row(name, f"{r['ms_per_step']:.2f}", f"{r['ms_min']:.2f}", f"{r['ratio']:.2f}x")
    Console().print(table)
    Console().print(f"equal to the reference bit for bit: {difference is None}")
    if arguments.json:
        about = {
            "threads": arguments.threads,
            "cpus": os.cpu_count(),
            "machine": platform.machine(),
            "torch": torch.__version__,
        }
        rates = {name: float(spikes.mean()) for name, spikes in expected.spikes.items()}
        document = {"setup": about, "firing_rates": rates, "exact": difference is None, "results": results}
        arguments.json.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
