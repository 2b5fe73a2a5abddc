"""When values reach each layer in stock Lava, whose Conv and Dense take one step each."""

from __future__ import annotations

import math
from dataclasses import dataclass

from snn_export.network import SpikingNetwork


@dataclass(frozen=True, slots=True)
class Timing:
    """How many Lava steps a run takes.

    Attributes:
        length: steps per GOP; a run starts at a multiple of it, counted from the start of the runtime.
        delay: steps by which the last layer is behind the input.
    """

    length: int
    delay: int

    def start(self, end: int) -> int:
        """The first step of a run when `end` steps have passed."""
        return -(-end // self.length) * self.length

    def steps(self, gops: int) -> int:
        """Steps of a run of that many GOPs."""
        return gops * self.length + self.delay


def schedule(network: SpikingNetwork) -> tuple[dict[str, int], tuple[str, ...]]:
    """Line up the delays of all paths.

    A layer integrates step t of its input at Lava step t + delay, and hands its spikes on in the same step,
    so that the next layer is exactly one later. Ports may be delayed at will; a layer may not. Layers joined
    through spikes therefore shift together, and the earliest of them has a delay of 1.

    Returns:
        The delay of each layer in steps, and the reasons why none exists (empty where one does).
    """
    names = {layer.name for layer in network.layers}
    edges = [(c.source, x.name) for x in network.layers for c in x.connections if c.source in names]
    delays: dict[str, int] = {}
    for start in (layer.name for layer in network.layers):
        if start in delays:
            continue
        group = _spread(start, edges)
        shift = 1 - min(group.values())
        delays |= {name: delay + shift for name, delay in group.items()}
    conflicts = tuple(
        f"$.layers[{target}]: spikes of {source!r} and of another source reach it after different numbers of "
        "layers, and each stock layer delays by one step"
        for source, target in dict.fromkeys(edges)
        if delays[target] != delays[source] + 1
    )
    return delays, conflicts


def gop_length(network: SpikingNetwork, steps: int) -> int:
    """Lava steps that a GOP of `steps` takes where state can be reset only at fixed distances.

    A multiple of every reset interval, so that the resets between GOPs fall on the same grid as those within:
    the rest of the steps is idle.
    """
    every = math.lcm(*(x.neuron.reset_interval for x in network.layers if 0 < x.neuron.reset_interval < steps))
    return -(-steps // every) * every


def _spread(start: str, edges: list[tuple[str, str]]) -> dict[str, int]:
    """Delays relative to `start` of every layer joined to it."""
    found, frontier = {start: 0}, [start]
    while frontier:
        here = frontier.pop()
        near = [(b, 1) for a, b in edges if a == here] + [(a, -1) for a, b in edges if b == here]
        for name, step in near:
            if name not in found:
                found[name] = found[here] + step
                frontier.append(name)
    return found
