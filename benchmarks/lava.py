"""The Lava backend: fused against stock, our read-out against Var.get, a kept runtime against one per GOP.

    python benchmarks/lava.py --json lava.json

All rows run in real Lava, on the same input, one after the other on the same machine. Times per step are
marginal: those of several GOPs less those of one, over the steps between. Firing is that of the simulator's
benchmark: 20 % of the input values are nonzero.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# this file has Lava's own name: its folder must not be searched for modules
sys.path[:] = [name for name in sys.path if Path(name).resolve() != Path(__file__).resolve().parent]

import numpy as np
from rich.console import Console
from rich.table import Table

from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.lava import job
from snn_export.lava.tape import Recorder
from snn_export.network import LIF, Connection, Conv2d, InputPort, IntArray, Layer, Reset, SpikingNetwork

STEPS = 11
MORE_GOPS = 3
"""GOPs of the longer run."""
VAR_GET = """
import sys, time
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.lif.process import LIF

lif = LIF(shape=(%d, %d, %d), dv=400, du=4095, vth=100)
lif.run(condition=RunSteps(num_steps=1), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
begin = time.perf_counter()
lif.v.get()
print(time.perf_counter() - begin)
lif.stop()
"""


def build(side: int, gops: int) -> tuple[SpikingNetwork, dict[str, IntArray]]:
    """Two ConvLIF layers 3x3, 2 -> 16 -> 16 channels, and their input."""
    rng = np.random.default_rng(0)
    shape: tuple[int, ...] = (2, side, side)
    port, source, layers = InputPort("motion", shape, 8), "motion", []
    for i in range(2):
        weight = rng.integers(-20, 21, (16, shape[0], 3, 3), dtype=np.int8)
        synapse = Conv2d(weight, (1, 1), (1, 1))
        shape = synapse.output_shape(shape)
        neuron = LIF(np.array([3686], np.int32), np.array([(1000, 60)[i]], np.int32), Reset.ZERO)
        layers.append(Layer(f"layer{i}", shape, (Connection(source, synapse),), neuron))
        source = f"layer{i}"
    values = rng.integers(-128, 128, (gops, STEPS, *port.shape)).astype(np.int16)
    values[rng.random(values.shape) < 0.8] = 0
    return SpikingNetwork((port,), tuple(layers)), {"motion": values}


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median time of some work."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def per_step(lowering: lava.Lowering, side: int, repeats: int) -> float:
    """Marginal seconds per step of a kept runtime; the first run, which is checked, warms up."""
    network, inputs = build(side, MORE_GOPS)
    one = {"motion": inputs["motion"][:1]}
    with lava.Runner(network, lowering, timeout_s=600) as runner:
        if first_difference(network, reference.run(network, one), runner.run(one)) is not None:
            raise SystemExit(f"{lowering} Lava differs from the reference: no time counts")
        # in turn, since neighbours of the same length see the same machine
        pairs = [(seconds(lambda: runner.run(inputs), 1), seconds(lambda: runner.run(one), 1)) for _ in range(repeats)]
    return statistics.median(long - short for long, short in pairs) / (STEPS * (MORE_GOPS - 1))


def our_readout(side: int, repeats: int) -> float:
    """Seconds to write the potentials of 16 channels to our file in a process and to load them in another."""
    network, inputs = build(side, 1)
    one, values = {"motion": inputs["motion"][:, :1]}, np.zeros((16, side, side))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = job.prepare(folder, network, "fused", 1)
        job.write_run(job.run_path(folder, 1), network, one)
        state[job.REQUESTED] = 1
        recorder = Recorder(folder, 1, 0, 1)
        path = job.potentials_path(job.run_path(folder, 1), 1)

        def write_and_read() -> None:
            recorder.potentials(recorder.turn(1), values)
            np.load(path, allow_pickle=False)

        write_and_read()
        return seconds(write_and_read, repeats)


def var_get(side: int) -> float:
    """Seconds that Var.get takes for the potentials of 16 channels."""
    script = VAR_GET % (side, side, 16)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True)
    return float(done.stdout.split()[-1])


def gop(side: int, repeats: int) -> tuple[float, float]:
    """Seconds for one GOP in a kept runtime, and in one that is made for it."""
    network, inputs = build(side, 1)
    with lava.Runner(network, "fused") as runner:
        runner.run(inputs)
        kept = seconds(lambda: runner.run(inputs), 3 * repeats)
    return kept, seconds(lambda: lava.run(network, inputs, "fused"), repeats)


def main() -> None:
    """Run all rows, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each row; the median counts")
    arguments = parser.parse_args()
    if missing := lava.available():
        raise SystemExit(missing)
    kept, rebuilt = gop(56, arguments.repeats)
    rows = {
        "112x112, 2->16->16, one step": ("stock", per_step("stock", 112, arguments.repeats),
                                         "fused", per_step("fused", 112, arguments.repeats)),
        "read-out of 112x112x16": ("Var.get", var_get(112), "ours", our_readout(112, 20)),
        f"56x56, 2->16->16, one GOP of {STEPS}": ("new runtime", rebuilt, "kept runtime", kept),
    }  # fmt: skip
    table = Table("", "slow", "ms", "fast", "ms", "ratio", title="Lava, two ConvLIF layers, all states recorded")
    results = {}
    for name, (slow, slow_s, fast, fast_s) in rows.items():
        table.add_row(name, slow, f"{1e3 * slow_s:.1f}", fast, f"{1e3 * fast_s:.2f}", f"{slow_s / fast_s:.1f}x")
        results[name] = {f"{slow} ms": 1e3 * slow_s, f"{fast} ms": 1e3 * fast_s, "ratio": slow_s / fast_s}
    Console().print(table)
    if arguments.json:
        about = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        document = {"setup": about, "results": results}
        arguments.json.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
