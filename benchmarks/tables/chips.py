"""What the chip profiles could take of a method, and what the planner then predicts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.tables.count import count
from benchmarks.tables.method import Method
from hwsim.chip import load
from hybrid.graph import ModelGraph, trace
from hybrid.model import HybridModel, load_config
from hybrid.model.inputs import input_ports, to_tensors
from hybrid.partition import Aim, make_plan
from hybrid.platform import load_host, load_link
from hybrid.runtime.clip import load_clip
from hybrid.training.initialise import scale_to_firing_rate

CHIPS = ("loihi2", "tianjic")
HOSTS, LINK = ("horowitz45", "h100"), "pcie4"
EVERY = 4
"""Of how many views one gives the activities, as in `benchmarks/costs.py`."""


@dataclass(frozen=True, slots=True)
class OnChip:
    """A model split between a chip and the host, as the planner predicts it (events and link, no static power).

    Attributes:
        chip, host: their profiles.
        joules: per video with every layer on the chip that may and can run there.
        host_joules: per video with everything on the host.
        refused: why a spiking layer stays on the host; empty where none has to.
    """

    chip: str
    host: str
    joules: float
    host_joules: float
    refused: str

    @property
    def text(self) -> str:
        """In words."""
        why = f"; {self.refused}" if self.refused else ""
        return f"{self.chip} + {self.host}: {self.joules:.3f} J (all on the host {self.host_joules:.3f} J){why}"


def nothing_to_map(method: Method) -> str:
    """Why a chip takes nothing of a method without spiking layers; empty where it has some."""
    found = [count(part) for part in method.parts if part.name in method.protocol.runs]
    if any(part.spiking_layers for part in found):
        return ""
    layers = sum(len(part.layers) - 1 for part in found)
    return f"none of its {layers} layers spikes: it stays on the host, at the J/V of this row"


def on_gpu(method: Method) -> float:
    """Joules per video on an H100 by its profile, one view at a time: each layer as long as its slowest resource.

    Convolutions and linear layers are one kernel each, attention's products one in all; the planner counts every op.
    """
    host, total = load_host("h100"), 0.0
    for part in method.parts:
        each = sum(host.energy(macs, weights).nominal for macs, weights in count(part).layers)
        total += each * method.protocol.runs.get(part.name, 0) * method.protocol.views
    return total


def predict(config: str, clip: Path) -> list[OnChip]:
    """Plans of one of our configs for every host and chip, with activities of a real clip."""
    graph, found = _graph(config, clip), []
    settings = load_config(config).input
    bits = {port.name: port.bits for port in input_ports(settings)}
    for host, name in itertools.product(HOSTS, CHIPS):
        plan = make_plan(graph, load(name), load_host(host), load_link(LINK), bits, Aim())
        stay = [p for p in plan.placements if graph.ops[p.op].spiking and p.chip_j is None]
        found.append(OnChip(
            name, host, plan.baselines["all legal on the chip"] * settings.views,
            plan.baselines["all on the host"] * settings.views, _refusal([p.violations[0] for p in stay]),
        ))  # fmt: skip
    return found


def _refusal(reasons: list[str]) -> str:
    """How many layers stay, and the first one's reason."""
    return f"{len(reasons)} spiking layers stay on the host, the first since {reasons[0]}" if reasons else ""


def _graph(config: str, clip: Path) -> ModelGraph:
    torch.manual_seed(0)
    model = HybridModel(load_config(config)).eval()
    settings = model.config.input
    values = tuple(x[::EVERY] for x in to_tensors(load_clip(clip, settings), settings))
    scale_to_firing_rate(model, *values)
    return trace(model, values)
