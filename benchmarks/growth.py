"""How cost grows with the length of a clip, resolution, channels, cores and chips: modelled and measured, with its law.

    python benchmarks/growth.py --out runs/growth

The spiking part of `tiny`, scaled to fire on a shipped clip, is compiled for Loihi 2 anew at every size and fed with
that clip at that size. Of every point: synaptic operations, packets, modelled energy and time per GOP, cores, chips,
and measured time of mapping and of simulating. Laws are fitted as powers (least squares of logarithms); where a curve
leaves its own law by more than a quarter, the point is named. Written are growth.json, growth.csv and growth.png.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hwsim.chip import Chip, load
from hwsim.energy import energy
from hwsim.engine import Engine
from hwsim.mapping import map_network
from hwsim.timing import step_times
from hybrid.graph import trace
from hybrid.model import HybridModel, load_config
from hybrid.model.inputs import chip_values, input_ports, sizes_of, to_tensors
from hybrid.partition.extract import chip_layers
from hybrid.shipped import CLIPS
from hybrid.training.initialise import scale_to_firing_rate
from hybrid.video import read
from hybrid.video.transform import to_views
from snn_export.network import IntArray, SpikingNetwork
from snn_export.quantize import quantize

STEPS = 11
BENT = 0.25
"""Share by which a point may be off its axis's law before it is named."""
COSTS = {
    "synaptic_operations": "synaptic operations", "packets": "packets", "energy_j": "energy in J, modelled",
    "time_s": "time on the chip in s, modelled", "cores": "cores", "map_s": "mapping in s, measured",
    "simulate_s": "simulating a GOP in s, measured",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """One size on one axis; costs are per GOP, but for the axis of clips, where they are of the whole clip."""

    axis: str
    size: float
    synaptic_operations: int
    packets: int
    energy_j: float
    time_s: float
    cores: int
    chips: int
    map_s: float
    simulate_s: float


@dataclass(frozen=True, slots=True)
class Law:
    """Cost = factor x size ^ power along an axis.

    Attributes:
        off: sizes at which the cost is off the law by more than `BENT`.
    """

    axis: str
    cost: str
    power: float
    factor: float
    off: tuple[float, ...]


def subject(resolution: int = 112, channels: int = 1, gops: int = 1) -> tuple[SpikingNetwork, dict[str, IntArray]]:
    """The spiking part at a resolution, its channels multiplied, and that many GOPs of the clip."""
    changes = [f"input.resize={resolution * 8 // 7}", f"input.crop={resolution}", "input.views=1"]
    changes.append(f"stm.channels={[x * channels for x in (8, 16, 16)]}")
    config = load_config("tiny", changes)
    found = [gop for gop in read(CLIPS[0]) if gop.steps == STEPS]
    views = to_views([found[i % len(found)] for i in range(gops)], sizes_of(config.input), resolution)
    torch.manual_seed(0)
    model, values = HybridModel(config), to_tensors(views, config.input)
    scale_to_firing_rate(model, *(x[:1] for x in values))
    graph = trace(model.eval(), tuple(x[:1] for x in values))
    names = [op.name for op in graph.ops.values() if op.spiking]
    network = quantize(input_ports(config.input), chip_layers(graph, names))
    return network, dict(chip_values(network, views))


def measure(axis: str, size: float, network: SpikingNetwork, inputs: dict[str, IntArray], chip: Chip) -> Point:
    """Map, simulate, count, price."""
    begin = time.perf_counter()
    mapping = map_network(network, chip)
    mapped = time.perf_counter() - begin
    engine = Engine(network, mapping)
    engine.run(inputs, "readout")
    spent = []
    for _ in range(5):
        begin = time.perf_counter()
        result = engine.run(inputs, "readout")
        spent.append(time.perf_counter() - begin)
    counts = result.counts
    if counts is None:
        raise SystemExit("the run was not counted")
    timing = step_times(chip, mapping, counts)
    return Point(
        axis, size, int(counts.synops.sum()), int(counts.packets_sent.sum()),
        float(energy(chip, mapping, counts, timing).total.nominal), float(timing.total.nominal),
        len(mapping.cores), mapping.chips, mapped, min(spent),
    )  # fmt: skip


def smaller(chip: Chip, share: int) -> Chip:
    """The chip with cores that hold a part of what they hold."""
    limits = chip.core.model_dump()
    cut = {name: limits[name] // share for name in ("neurons", "synapse_memory_bytes") if limits.get(name)}
    return chip.model_copy(update={"core": chip.core.model_copy(update=cut)})


def points(chip: Chip) -> Iterator[Point]:
    """All sizes of all axes."""
    for gops in (1, 2, 4, 8, 16, 32):
        yield measure("GOPs of a clip", gops, *subject(gops=gops), chip)
    for resolution in (56, 112, 168, 224, 336, 448):
        yield measure("resolution", resolution, *subject(resolution=resolution), chip)
    for channels in (1, 2, 4, 8):
        yield measure("channels", channels, *subject(channels=channels), chip)
    network, inputs = subject(resolution=224)
    for share in (1, 2, 4, 8, 16):
        yield measure("smaller cores", share, network, inputs, smaller(chip, share))
    for tiles in (8, 4, 2, 1):
        mesh = chip.mesh.model_copy(update={"tiles_x": tiles, "tiles_y": min(tiles, chip.mesh.tiles_y)})
        fewer = smaller(chip.model_copy(update={"mesh": mesh}), 8)
        found = measure("chips", 0, network, inputs, fewer)
        yield replace(found, size=found.chips)


def laws(found: list[Point]) -> list[Law]:
    """A power per axis and cost."""
    fitted = []
    for axis in dict.fromkeys(point.axis for point in found):
        mine = [point for point in found if point.axis == axis]
        sizes = np.array([point.size for point in mine])
        for cost in COSTS:
            costs = np.array([getattr(point, cost) for point in mine], float)
            if len(set(sizes)) < 2 or (costs <= 0).any():
                continue
            power, start = np.polyfit(np.log(sizes), np.log(costs), 1)
            wrong = np.abs(costs / np.exp(start) / sizes**power - 1) > BENT
            fitted.append(Law(axis, cost, float(power), float(np.exp(start)), tuple(sizes[wrong].tolist())))
    return fitted


def draw(found: list[Point], target: Path) -> None:
    """Every axis against every cost, relative to its first point, on logarithmic scales."""
    axes = list(dict.fromkeys(point.axis for point in found))
    figure, panels = plt.subplots(1, len(axes), figsize=(4 * len(axes), 4), layout="constrained", sharey=True)
    for panel, axis in zip(panels, axes, strict=True):
        mine = [point for point in found if point.axis == axis]
        for cost, name in COSTS.items():
            costs = [getattr(point, cost) / getattr(mine[0], cost) for point in mine]
            panel.plot([point.size for point in mine], costs, marker="o", label=name)
        panel.set(xscale="log", yscale="log", xlabel=axis)
        panel.set_xticks([point.size for point in mine], [f"{point.size:g}" for point in mine])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("cost, first point = 1")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(target, dpi=110)


def show(found: list[Law], console: Console) -> None:
    """The powers as a table."""
    table = Table("cost", *dict.fromkeys(law.axis for law in found), title="cost grows with size to the power of")
    for cost, name in COSTS.items():
        mine = {law.axis: law for law in found if law.cost == cost}
        cells = []
        for axis in dict.fromkeys(law.axis for law in found):
            law = mine.get(axis)
            off = f" (not at {', '.join(f'{x:g}' for x in law.off)})" if law and law.off else ""
            cells.append(f"{law.power:.2f}{off}" if law else "")
        table.add_row(name, *cells)
    console.print(table)


def write(found: list[Point], fitted: list[Law], out: Path) -> None:
    """Everything as JSON, CSV and a picture."""
    out.mkdir(parents=True, exist_ok=True)
    document = {"points": [asdict(x) for x in found], "laws": [asdict(x) for x in fitted]}
    (out / "growth.json").write_text(json.dumps(document, indent=1) + "\n")
    with (out / "growth.csv").open("w", newline="") as file:
        rows = csv.DictWriter(file, asdict(found[0]))
        rows.writeheader()
        rows.writerows(asdict(x) for x in found)
    draw(found, out / "growth.png")


def told(found: Iterable[Point], console: Console, say: Callable[[Point], str]) -> list[Point]:
    """The points, each told as it comes."""
    kept = []
    for point in found:
        console.print(say(point))
        kept.append(point)
    return kept


def main() -> None:
    """Measure, fit, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/growth"), help="folder to write to")
    arguments = parser.parse_args()
    console = Console(width=150)
    found = told(
        points(load("loihi2")), console,
        lambda x: f"{x.axis} {x.size:g}: {x.synaptic_operations:,} operations, {x.cores} cores on {x.chips} chips, "
        f"{1e6 * x.energy_j:.0f} uJ, {1e3 * x.time_s:.2f} ms; {x.map_s:.2f} s to map, {x.simulate_s:.4f} s to simulate",
    )  # fmt: skip
    fitted = laws(found)
    show(fitted, console)
    write(found, fitted, arguments.out)


if __name__ == "__main__":
    main()
