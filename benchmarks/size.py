"""How large a network may be: a million neurons and 100 million synapses, counted, in bounded memory.

    python benchmarks/size.py --json size.json

Two convolutional layers on 200 x 200, 2 -> 16 -> 16 channels, 11 steps, mapped on as many Loihi 2 chips as it takes.
The peak of resident memory is that of this whole process, what it had before the network included.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from hwsim.chip import load
from hwsim.engine import Engine
from hwsim.mapping import map_network
from snn_export.network import LIF, Connection, Conv2d, InputPort, IntArray, Layer, SpikingNetwork

SIDE, STEPS = 200, 11


def build(side: int) -> tuple[SpikingNetwork, dict[str, IntArray]]:
    """The network and one GOP of spikes, 5 % of them 1."""
    rng = np.random.default_rng(0)
    port, source, layers = InputPort("events", (2, side, side), 1), "events", []
    for i, (channels, vth) in enumerate(((2, 20), (16, 60))):
        synapse = Conv2d(rng.integers(-20, 21, (16, channels, 3, 3), dtype=np.int8), (1, 1), (1, 1))
        neuron = LIF(np.array([3686], np.int32), np.array([vth], np.int32))
        layers.append(Layer(f"layer{i}", (16, side, side), (Connection(source, synapse),), neuron))
        source = f"layer{i}"
    spikes = (rng.random((1, STEPS, *port.shape)) < 0.05).astype(np.int8)
    return SpikingNetwork((port,), tuple(layers)), {"events": spikes}


def resident_mb() -> float:
    """Most memory that this process has had, in MB; getrusage would hand on that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure() -> dict[str, float]:
    """Map, run twice (the first warms up), and say what it took."""
    before = resident_mb()
    network, inputs = build(SIDE)
    begin = time.perf_counter()
    mapping = map_network(network, load("loihi2"))
    mapped = time.perf_counter() - begin
    engine = Engine(network, mapping)
    engine.run(inputs, "readout")
    begin = time.perf_counter()
    counts = engine.run(inputs, "readout").counts
    spent = time.perf_counter() - begin
    if counts is None:
        raise SystemExit("the run was not counted")
    # every weight and every input: the synapses that a step could use
    return {
        "neurons": sum(layer.size for layer in network.layers),
        "synapses": int(counts.synops_dense[0, 0].sum()),
        "cores": len(mapping.cores),
        "chips": mapping.chips,
        "map_s": mapped,
        "steps_per_s": STEPS / spent,
        "synaptic_operations_per_s": int(counts.synops.sum()) / spent,
        "peak_mb_before": before,
        "peak_mb": resident_mb(),
    }


def main() -> None:
    """Measure and print, or write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch threads")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    text = json.dumps(measure(), indent=2)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
