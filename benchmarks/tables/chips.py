"""What a method would cost with a neuromorphic chip beside the host, by the shipped profiles.

Spiking layers go to the chip where they fit, priced as `hybrid.partition` prices them, with the activities of a real
clip. Convolutions and linear layers go to a chip with an ANN mode (Tianjic: 8 bits) where chip and link cost less than
the host; every one of them is fed and read over the link, so that the chip is visited often (the planner allows one
visit a GOP); what that takes in time is not said here. All else stays on the host: a convolution, a linear layer, or
all products of attention together take one kernel, one view at a time, and element-wise operations nothing. No static
power of the chip, no energy of an idle host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from benchmarks.tables.count import Layer, count
from benchmarks.tables.method import Method
from hwsim.chip import load
from hwsim.quantity import Range
from hybrid.graph import ModelGraph, trace
from hybrid.model import HybridModel, load_config
from hybrid.model.inputs import input_ports, to_tensors
from hybrid.partition.artificial import matrix_work
from hybrid.partition.cost import costs_of
from hybrid.partition.legality import violations
from hybrid.partition.plan import crossings
from hybrid.partition.stage import stage
from hybrid.platform import load_host, load_link
from hybrid.runtime.clip import load_clip
from hybrid.training.initialise import scale_to_firing_rate

CHIPS = {"loihi2": "Loihi 2", "tianjic": "Tianjic"}
HOSTS = {"horowitz45": "45 nm", "h100": "H100"}
LINK = "pcie4"
EVERY = 4
"""Of how many views one gives the activities, as in `benchmarks/costs.py`."""
_NOTHING = Range(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Spiking:
    """The spiking layers of a config on a chip.

    Attributes:
        energy: joules of a view, on the chip and on the link.
        layers: paths of those that run there.
        cores: that they take.
        unfit: why others do not, by path.
    """

    energy: Range
    layers: frozenset[str]
    cores: int
    unfit: Mapping[str, str]


NONE = Spiking(_NOTHING, frozenset(), 0, {})
"""Of a method without spiking layers."""


@dataclass(frozen=True, slots=True)
class Split:
    """A method on a host, with or without a chip.

    Attributes:
        energy: joules of a video.
        share: of its multiply-accumulates that the chip does, spiking layers counted as if they were dense.
        cores: that it takes.
    """

    energy: Range
    share: float
    cores: int


def split(method: Method, host: str, chip: str | None = None, spiking: Spiking = NONE) -> Split:
    """The cost of a video on a host, and on a chip beside it."""
    energy, cores, taken, total = spiking.energy, spiking.cores, 0, 0
    for layer, times in _layers(method):
        total += layer.macs * times
        if layer.name in spiking.layers:
            taken += layer.macs * times
            continue
        best = load_host(host).energy(layer.macs, layer.weight_bytes)
        there = _artificial(layer, chip) if chip and not layer.neuron else None
        if there is not None and there[0].nominal < best.nominal:
            best, cores, taken = there[0], cores + there[1], taken + layer.macs * times
        energy = energy + best * times
    return Split(energy * method.protocol.views, taken / total, cores)


def stays(method: Method, spiking: Mapping[str, Spiking]) -> str:
    """What cannot go to the chips, in words."""
    found = [layer for layer, _ in _layers(method)]
    neurons = sum(layer.neuron for layer in found)
    grouped = sum(x.matrix is None and x.name != "" and not x.neuron for x in found)
    parts = [] if neurons else ["nothing spikes: Loihi 2 takes nothing"]
    for chip, on_chip in spiking.items():
        if on_chip.unfit:
            why = next(iter(on_chip.unfit.values()))
            parts.append(f"{len(on_chip.unfit)} of {neurons} spiking layers do not fit {CHIPS[chip]}: {why}")
    parts += [f"grouped convolutions ({grouped}) are no matrix for Tianjic"] if grouped else []
    parts += (
        ["products of attention have no weights that a core could hold"]
        if any(x.name == "" and x.macs for x in found)
        else []
    )
    return "; ".join(parts)


def spiking_parts(config: str, clip: Path) -> dict[str, Spiking]:
    """The spiking layers of one of our configs on every chip, with activities of a real clip."""
    graph, settings = _graph(config, clip), load_config(config).input
    bits = {port.name: port.bits for port in input_ports(settings)}
    found = {}
    for name in CHIPS:
        costs = costs_of(graph, load(name), load_host("horowitz45"), load_link(LINK), bits)
        there = stage(graph, {op for op in costs.chip if not violations(graph.ops[op], graph)})
        energy = _NOTHING
        for op in there:
            energy = energy + costs.chip[op].energy
        for crossing in crossings(graph, there, costs):
            energy = energy + crossing.energy_j
        cores = sum(costs.chip[op].cores for op in there)
        found[name] = Spiking(
            energy, frozenset(there), cores, {op: str(why.what) for op, why in costs.unfit.items() if op not in there}
        )
    return found


def _layers(method: Method) -> Iterator[tuple[Layer, int]]:
    """Every layer of a method, and how often a view runs it."""
    for part in method.parts:
        times = method.protocol.runs.get(part.name, 0)
        yield from ((layer, times) for layer in count(part).layers if times)


@cache
def _artificial(layer: Layer, chip: str) -> tuple[Range, int] | None:
    """Joules of one run of a layer in ANN mode, its values crossing the link with 8 bits each, and its cores."""
    work = matrix_work(layer.matrix[1], layer.matrix[0], layer.positions, load(chip)) if layer.matrix else None
    return None if work is None else (work.energy + load_link(LINK).energy(layer.values), work.cores)


def _graph(config: str, clip: Path) -> ModelGraph:
    torch.manual_seed(0)
    model = HybridModel(load_config(config)).eval()
    settings = model.config.input
    values = tuple(x[::EVERY] for x in to_tensors(load_clip(clip, settings), settings))
    scale_to_firing_rate(model, *values)
    return trace(model, values)
