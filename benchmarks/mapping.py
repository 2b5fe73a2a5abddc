"""Placements against their peer (the snake alone), against lower bounds, and on small cases against the optimum.

    python benchmarks/mapping.py --json mapping.json

Networks: the STMs of the shipped models, and random ones. All numbers are for a step in which every neuron fires.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import sparse

from hwsim.chip import Chip, load
from hwsim.engine.counter import Counter
from hwsim.mapping import DoesNotFit, assess
from hwsim.mapping.layout import Layout
from hwsim.mapping.mapper import map_network, on_snake
from hwsim.mapping.objective import Pace
from hwsim.mapping.optimum import optimum
from hwsim.mapping.placement import best_layout, sites
from hwsim.mapping.split import crossing
from hwsim.mapping.traffic import core_traffic
from hybrid.model.config import load_config
from hybrid.model.inputs import input_ports
from hybrid.model.stm import SpikingTemporalModulator
from snn_export.network import LIF, Connection, Conv2d, InputPort, Layer, Reset, Sparse, SpikingNetwork
from snn_export.quantize import FloatConvLIF, quantize

CHIPS = ("loihi2", "loihi1", "tianjic")
MESHES = ((3, 3, 1), (2, 2, 2), (2, 4, 1))
"""Columns, rows and cores per tile of the small cases."""
CASES = 20
"""Small cases of each mesh."""


def stm(name: str) -> SpikingNetwork:
    """Both STMs of a shipped model, as they are before training, quantised."""
    config, layers = load_config(name), []
    torch.manual_seed(0)
    for port in input_ports(config.input):
        source = port.name
        for i, layer in enumerate(SpikingTemporalModulator(port.shape[0], config.stm, port.scale)):
            conv, keep = layer.conv, float(layer.keep)
            weight = conv.weight.detach().double().numpy() * (1 - keep)
            layers.append(
                FloatConvLIF(
                    f"{port.name}.{i}", source, weight, conv.stride, conv.padding, conv.dilation, conv.groups, keep,
                    float(layer.threshold), Reset(layer.reset), layer.readout,
                )
            )  # fmt: skip
            source = layers[-1].name
    return quantize(input_ports(config.input), layers)


def random_convolutions(layers: int) -> SpikingNetwork:
    """A graph of 5x5 convolutions of 32 channels of 48x48; each layer reads its predecessor and one before."""
    rng, names, found = np.random.default_rng(0), ["in"], []
    port = InputPort("in", (32, 48, 48), 1)
    for i in range(layers):
        sources = {names[-1], names[int(rng.integers(len(names)))]}
        weights = [rng.integers(-3, 4, (32, 32, 5, 5), dtype=np.int8) for _ in sources]
        connections = [Connection(s, Conv2d(w, (1, 1), (2, 2))) for s, w in zip(sorted(sources), weights, strict=True)]
        found.append(Layer(f"layer{i}", port.shape, tuple(connections), LIF(*np.array([[3000], [99]], np.int32))))
        names.append(found[-1].name)
    return SpikingNetwork((port,), tuple(found))


def random_populations(count: int) -> SpikingNetwork:
    """Populations of 900 neurons, each with sparse synapses from three of those before it."""
    rng, found = np.random.default_rng(0), []
    port = InputPort("in", (900,), 1)
    names = ["in"]
    for i in range(count):
        sources = sorted({names[int(k)] for k in rng.integers(0, len(names), 3)})
        connections = []
        for source in sources:
            rows, columns = np.nonzero(rng.random((900, 900)) < 0.01)
            weight = rng.integers(1, 9, len(rows)).astype(np.int8)
            synapse = Sparse(weight, rows.astype(np.int32), columns.astype(np.int32), (900, 900))
            connections.append(Connection(source, synapse))
        found.append(Layer(f"population{i}", (900,), tuple(connections), LIF(*np.array([[3000], [99]], np.int32))))
        names.append(found[-1].name)
    return SpikingNetwork((port,), tuple(found))


def map_row(network: SpikingNetwork, chip: Chip) -> dict[str, Any]:
    """Seconds, the objective and its bound, and what the snake alone gives."""
    start = time.perf_counter()
    try:
        mapping = map_network(network, chip)
    except DoesNotFit as error:
        return {"refused": error.what, "seconds": time.perf_counter() - start}
    mapped = time.perf_counter()
    Counter(network, mapping)
    counted = time.perf_counter()
    found = assess(network, chip, mapping)
    judged = time.perf_counter()
    peer = on_snake(network, chip)
    snake = assess(network, chip, peer)
    cuts = [crossing(core_traffic(network, m), np.array([core.chip for core in m.cores])) for m in (mapping, peer)]
    return {
        "cores": len(mapping.cores), "chips": mapping.chips, "seconds": mapped - start,
        "counter_seconds": counted - mapped, "quality_seconds": judged - counted, "unit": found.unit,
        "slowest": found.objective.slowest, "slowest_bound": found.bound.slowest,
        "hops": found.objective.hops, "hops_bound": found.bound.hops, "how": found.how,
        "core": found.core, "core_bound": found.core_bound, "interchip": cuts[0],
        "snake": {"slowest": snake.objective.slowest, "hops": snake.objective.hops, "interchip": cuts[1]},
    }  # fmt: skip


def small_cases(x: int, y: int, per_tile: int) -> dict[str, Any]:
    """Gaps to the optimum of random traffic on a full small mesh where links alone count."""
    count = x * y * per_tile
    mesh = load("loihi1").mesh.model_copy(update={"tiles_x": x, "tiles_y": y, "cores_per_tile": per_tile})
    where, gaps, snake, seconds = sites(count, mesh), [], [], 0.0
    for seed in range(CASES):
        rng = np.random.default_rng(seed)
        weights = np.triu(rng.integers(1, 50, (count, count)) * (rng.random((count, count)) < 0.5), 1)
        traffic, pace = sparse.csr_matrix(weights), Pace(4100, 6500, 0, "ps")
        start = Layout(traffic, where[:, 1], where[:, 2], pace)
        began = time.perf_counter()
        best = optimum(start, 100.0)
        seconds += time.perf_counter() - began
        if best is None:
            raise RuntimeError(f"no optimum proven for {x}x{y}x{per_tile}, seed {seed}")
        found = best_layout(traffic, start.x, start.y, np.zeros(count, np.int64), pace).objective
        for gap, value in ((gaps, found), (snake, start.objective)):
            # more hops are a gap only where the slowest link is as fast as the optimum's
            more = value.hops / best.hops - 1 if value.slowest == best.slowest else 0.0
            gap.append((value.slowest / best.slowest - 1, more, value == best))
    table = {"cases": CASES, "cores": count, "optimum_seconds": seconds / CASES}
    for name, values in (("heuristic", np.array(gaps)), ("snake", np.array(snake))):
        table[name] = {
            "slowest_mean": values[:, 0].mean(), "slowest_max": values[:, 0].max(),
            "hops_mean": values[:, 1].mean(), "hops_max": values[:, 1].max(), "optimal": int(values[:, 2].sum()),
        }  # fmt: skip
    return table


def show_maps(rows: dict[str, dict[str, Any]], console: Console) -> None:
    """The table of mappings."""
    headings = ("network, chip", "cores", "chips", "map s", "counter s", "slowest", "x bound", "x snake's", "hops",
                "x bound", "x snake's", "between chips", "snake's")  # fmt: skip
    table = Table(*headings, title="mappings")
    for name, row in rows.items():
        if "refused" in row:
            table.add_row(name, "does not fit", "", f"{row['seconds']:.2f}")
            continue
        snake = row["snake"]
        table.add_row(
            name, f"{row['cores']:,}", str(row["chips"]), f"{row['seconds']:.2f}", f"{row['counter_seconds']:.2f}",
            f"{row['slowest']:,} {row['unit']}", _times(row["slowest"], row["slowest_bound"]),
            _times(row["slowest"], snake["slowest"]), f"{row['hops']:,}", _times(row["hops"], row["hops_bound"]),
            _times(row["hops"], snake["hops"]), f"{row['interchip']:,}", f"{snake['interchip']:,}",
        )  # fmt: skip
    console.print(table)


def show_small(rows: dict[str, dict[str, Any]], console: Console) -> None:
    """The table of gaps to the optimum."""
    table = Table("mesh", "cores", "cases", "placed by", "slowest link: mean, max", "then hops: mean, max", "optimal",
                  "CP-SAT s", title="gap to the optimum, random traffic")  # fmt: skip
    for name, row in rows.items():
        for method in ("heuristic", "snake"):
            r = row[method]
            table.add_row(
                name, str(row["cores"]), str(row["cases"]), method, f"{r['slowest_mean']:.1%}, {r['slowest_max']:.1%}",
                f"{r['hops_mean']:.1%}, {r['hops_max']:.1%}", str(r["optimal"]), f"{row['optimum_seconds']:.2f}",
            )  # fmt: skip
    console.print(table)


def _times(value: int, other: int) -> str:
    return f"{value / other:.2f}" if other else "1.00" if not value else "-"


def main() -> None:
    """Run all rows, print the tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="file to write the results to")
    arguments = parser.parse_args()
    networks = {
        "tiny STM": stm("tiny"), "base STM at 224": stm("base"),
        "random convolutions": random_convolutions(6), "random populations": random_populations(100),
    }  # fmt: skip
    maps = {f"{name}, {chip}": map_row(net, load(chip)) for name, net in networks.items() for chip in CHIPS}
    small = {"x".join(map(str, mesh)): small_cases(*mesh) for mesh in MESHES}
    console = Console(width=None if os.isatty(1) else 200)
    show_maps(maps, console)
    show_small(small, console)
    if arguments.json:
        about = {"cpus": os.cpu_count(), "machine": platform.machine(), "numpy": np.__version__}
        document = {"setup": about, "mappings": maps, "small": small}
        arguments.json.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
