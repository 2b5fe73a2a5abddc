"""The simulator's engine against stock Lava, our fused Lava, SANA-FE and a plain torch forward, in one run.

    HYBRID_SANAFE_PYTHON=/path/to/python/with/sanafe python benchmarks/simulator.py --json simulator.json

The network is 112 x 112, 2 -> 16 -> 16 channels, 11 steps, 20 % of the input values nonzero; the engine counts for
every core. Rounds alternate between all peers, so that all see the same machine; medians over rounds are compared.
A peer that is not there is named with the reason. SANA-FE takes 1 KB per synapse, so it gets the same layers on
16 x 16, where rates of synaptic operations are compared, and a smaller network of its own kind as it is; both are
also checked for equal counts, energy and times.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
# lava.py here has Lava's own name: this folder must not be searched for modules
sys.path[:] = [name for name in sys.path if Path(name).resolve() != HERE]

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table

from hwsim.chip import load
from hwsim.engine import Engine
from hwsim.mapping import map_network
from hwsim.sanafe import compare, export
from hybrid.allocator import keep_freed_memory
from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.network import LIF, Connection, Conv2d, InputPort, IntArray, Layer, SpikingNetwork

STEPS = 11
CROP = 16
"""Side of the network that SANA-FE gets."""
MANY = ("loihi1", "tianjic", "truenorth")
"""Chips on which the network takes many cores, where counting costs more."""
GOPS, OWN_STEPS = 16, 100
"""Size of the batch of the network of SANA-FE's own kind."""
Inputs = dict[str, IntArray]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One comparison: medians of both, and how the ratio stands to its target."""

    name: str
    unit: str
    ours: float
    theirs: float
    ratio: float
    target: str
    met: bool


@dataclass(slots=True)
class Times:
    """Measurements of all rounds by name, and why a peer has none."""

    values: dict[str, list[float]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    differences: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, name: str, *values: float) -> None:
        """Keep measurements."""
        self.values.setdefault(name, []).extend(values)

    def median(self, name: str) -> float | None:
        """The median, where there is one."""
        return statistics.median(self.values[name]) if name in self.values else None


def sibling(name: str) -> ModuleType:
    """Another benchmark as a module."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"benchmarks/{name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def own_kind() -> tuple[SpikingNetwork, Inputs]:
    """Four sparse convolutional layers on 32 x 32 events, as SANA-FE's own examples have them."""
    rng = np.random.default_rng(1)
    shape: tuple[int, ...] = (2, 32, 32)
    port, source, layers = InputPort("events", shape, 1), "events", []
    for i, (channels, stride, vth) in enumerate(((8, 2, 30), (16, 2, 40), (16, 1, 40), (32, 2, 60))):
        weight = rng.integers(-20, 21, (channels, shape[0], 3, 3), dtype=np.int8)
        synapse = Conv2d(weight, (stride, stride), (1, 1))
        shape = synapse.output_shape(shape)
        neuron = LIF(np.array([3686], np.int32), np.array([vth], np.int32))
        layers.append(Layer(f"conv{i}", shape, (Connection(source, synapse),), neuron))
        source = f"conv{i}"
    events = (rng.random((GOPS, OWN_STEPS, *port.shape)) < 0.02).astype(np.int8)
    return SpikingNetwork((port,), tuple(layers)), {"events": events}


def float_forward(network: SpikingNetwork, inputs: Inputs) -> Callable[[], None]:
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


def seconds(function: Callable[[], Any]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


@dataclass(frozen=True, slots=True)
class SanaFe:
    """One network that SANA-FE and the engine run, both on the first GOP."""

    name: str
    network: SpikingNetwork
    inputs: Inputs

    def measure(self, python: str, times: Times) -> None:
        """Check that all is equal, and add both rates: synaptic operations and steps per second."""
        chip = load("loihi1-fitted")
        mapping = map_network(self.network, chip)
        one = {name: x[:1] for name, x in self.inputs.items()}
        report = _report(python, export(self.network, mapping, chip, one))
        engine = Engine(self.network, mapping)
        found = compare(self.network, mapping, chip, engine.run(one), report)
        times.differences[self.name] = found.differences
        for spent in report["run_s"]:
            times.add(f"{self.name}: SANA-FE operations", found.synops / spent)
            times.add(f"{self.name}: SANA-FE steps", len(report["steps"]) / spent)
        for kind, given in (("one GOP", one), ("all GOPs", self.inputs)):
            gops, steps = next(iter(given.values())).shape[:2]
            engine.run(given, "readout")
            for _ in range(len(report["run_s"])):
                spent = seconds(lambda given=given: engine.run(given, "readout"))
                times.add(f"{self.name}: engine steps, {kind}", gops * steps / spent)


def _report(python: str, data: dict[str, Any]) -> dict[str, Any]:
    """What SANA-FE reports, from a process of its own; it uses as many threads as it is allowed."""
    with tempfile.TemporaryDirectory() as name:
        given, made = Path(name) / "network.json", Path(name) / "report.json"
        given.write_text(json.dumps(data))
        command = [python, HERE / "run_sanafe.py", given, made, "--time", "3"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=600)
        return dict(json.loads(made.read_text()))


def sanafe_python() -> str | None:
    """The interpreter that has SANA-FE."""
    return os.environ.get("HYBRID_SANAFE_PYTHON") or (sys.executable if importlib.util.find_spec("sanafe") else None)


def engine_rows(network: SpikingNetwork, inputs: Inputs) -> dict[str, Callable[[], Any]]:
    """What runs in this process, by name; the reference is checked here."""
    plain, counting = Engine(network), Engine(network, map_network(network, load("loihi2")))
    if first_difference(network, reference.run(network, inputs), counting.run(inputs).recording) is not None:
        raise SystemExit("the engine differs from the reference: no time counts")
    many = {chip: Engine(network, map_network(network, load(chip))) for chip in MANY}
    return {
        "engine, counters off": lambda: plain.run(inputs, "readout"),
        **{f"engine, {chip}": lambda engine=engine: engine.run(inputs, "readout") for chip, engine in many.items()},
        "engine": lambda: counting.run(inputs, "readout"),
        "engine, all recorded": lambda: counting.run(inputs),
        "plain torch forward": float_forward(network, inputs),
    }


def measure(rounds: int, repeats: int) -> tuple[Times, dict[str, float]]:
    """All rounds over all peers, in seconds per step unless a name says otherwise, and counts of one GOP.

    Lava's steps are marginal ones of a kept runtime, and record all states through our files; Var.get is timed alone.
    """
    bench, times = sibling("lava"), Times()
    network, inputs = bench.build(112, 1)
    rows = engine_rows(network, inputs)
    counts = rows["engine"]().counts
    lavas = {"stock Lava": "stock", "fused Lava": "fused"}
    if reason := lava.available():
        times.absent |= dict.fromkeys((*lavas, "Var.get"), reason)
        lavas = {}
    python = sanafe_python()
    peers = [SanaFe("STM", *bench.build(CROP, 1)), SanaFe("its own kind", *own_kind())]
    if python is None:
        times.absent["SANA-FE"] = "not installed: name a Python that has it in HYBRID_SANAFE_PYTHON"
    for number in range(rounds):
        for turn in range(repeats + 1):  # the first warms up
            for name, function in rows.items():
                function()  # it then finds its own data in the caches, and no threads of others, which spin for a while
                spent = seconds(function)
                if turn:
                    times.add(name, spent / STEPS)
        for name, lowering in lavas.items():
            times.add(name, bench.per_step(lowering, 112, 1 if lowering == "stock" else 3))
        if lavas and number == 0:  # it alone takes a quarter of a minute
            times.add("Var.get", bench.var_get(112))
        for peer in peers if python else ():
            peer.measure(python, times)
    return times, {"synaptic operations": int(counts.synops.sum()), "spikes": int(counts.spikes.sum())}


def ratios(times: Times, counts: dict[str, float]) -> list[Ratio]:
    """The comparisons that this run allows."""
    engine, recorded, plain = (times.median(name) for name in ("engine", "engine, all recorded", "plain torch forward"))
    if engine is None or recorded is None or plain is None:
        raise SystemExit("nothing was measured: give at least one round and one repetition")
    stock, fused, read = (times.median(name) for name in ("stock Lava", "fused Lava", "Var.get"))
    found = []

    def add(name: str, unit: str, ours: float, theirs: float | None, target: float, rate: bool = False) -> None:
        if theirs is not None:
            ratio = ours / theirs if rate else theirs / ours
            found.append(Ratio(name, unit, ours, theirs, ratio, f">= {target:g}x", ratio >= target))

    add("stock Lava", "s/step", engine, stock, 200)
    if stock is not None and read is not None:
        # one read-out of the last layer's potentials per GOP against all potentials of all steps
        add("stock Lava with read-out", "s/step", recorded, stock + read / STEPS, 1000)
    add("our fused Lava", "s/step", engine, fused, 20)
    rate = counts["synaptic operations"] / STEPS / engine
    add("SANA-FE, STM", "operations/s", rate, times.median("STM: SANA-FE operations"), 500, rate=True)
    theirs = times.median("its own kind: SANA-FE steps")
    for kind in ("all GOPs", "one GOP"):
        ours = times.median(f"its own kind: engine steps, {kind}") or 0.0
        add(f"SANA-FE, its own kind, {kind}", "steps/s", ours, theirs, 20, rate=True)
    found.append(
        Ratio("plain torch forward", "s/step", engine, plain, engine / plain, "<= 1.5x", engine <= 1.5 * plain)
    )
    return found


def size(threads: int) -> dict[str, float]:
    """The row of size, in a process of its own, since it reports its memory."""
    command = [sys.executable, HERE / "size.py", "--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return dict(json.loads(done.stdout))


def show(found: list[Ratio], times: Times, large: dict[str, float], threads: int) -> None:
    """Print everything."""
    console = Console(width=110)
    title = f"112x112, 2->16->16, {STEPS} steps, counters on, {threads} threads of {os.cpu_count()} cores"
    table = Table("peer", "unit", "engine", "peer", "ratio", "target", "met", title=title)
    for row in found:
        values = (f"{row.ours:.4g}", f"{row.theirs:.4g}", f"{row.ratio:.2f}x")
        table.add_row(row.name, row.unit, *values, row.target, "yes" if row.met else "no")
    console.print(table)
    for name, reason in times.absent.items():
        console.print(f"{name} is absent: {reason}")
    for name, lines in times.differences.items():
        console.print(f"counts, energy and times equal to SANA-FE's ({name}): {not lines}", *lines[:3])
    bare = times.median("engine, counters off") or 1.0
    for name in ("engine, counters off", "engine", *(f"engine, {chip}" for chip in MANY), "engine, all recorded"):
        spent = times.median(name) or 0.0
        console.print(f"{name}: {1e3 * spent:.2f} ms/step, {spent / bare:.2f}x of that without counters")
    console.print(
        f"{large['neurons'] / 1e6:.2f} M neurons, {large['synapses'] / 1e6:.0f} M synapses, {large['cores']} cores: "
        f"{large['steps_per_s']:.1f} steps/s, {large['synaptic_operations_per_s'] / 1e6:.0f} M operations/s, "
        f"peak {large['peak_mb']:.0f} MB ({large['peak_mb_before']:.0f} MB before)"
    )


def main() -> None:
    """Run all rows, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch and SANA-FE")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all peers; medians count")
    parser.add_argument("--repeats", type=int, default=9, help="timed runs of the engine in each round")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()  # as the command line does
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # SANA-FE's, by inheritance
    begin = time.perf_counter()
    times, counts = measure(arguments.rounds, arguments.repeats)
    found, large = ratios(times, counts), size(arguments.threads)
    show(found, times, large, arguments.threads)
    if arguments.json:
        document = {
            "setup": {
                "threads": arguments.threads,
                "cpus": os.cpu_count(),
                "machine": platform.machine(),
                "torch": torch.__version__,
                "seconds": time.perf_counter() - begin,
            },
            "ratios": [asdict(row) for row in found],
            "measurements": times.values,
            "absent": times.absent,
            "sanafe_differences": times.differences,
            "counts": counts,
            "size": large,
        }
        arguments.json.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
