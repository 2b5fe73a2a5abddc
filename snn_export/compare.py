"""Find the first bit in which two recordings differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn_export.network import IntArray, Recording, SpikingNetwork


@dataclass(frozen=True, slots=True)
class Difference:
    """The first differing value, in order of step, then layer.

    Attributes:
        layer: name of the layer.
        quantity: `spike` or `potential`.
        gop: index of the GOP.
        step: index of the step in it.
        place: channel, row, column (or feature).
        left: value in the first recording.
        right: value in the second.
    """

    layer: str
    quantity: str
    gop: int
    step: int
    place: tuple[int, ...]
    left: float
    right: float

    def __str__(self) -> str:
        return (
            f"layer {self.layer!r}, GOP {self.gop}, step {self.step}, place {self.place}: "
            f"{self.quantity} {self.left} against {self.right}"
        )


def first_difference(
    network: SpikingNetwork, left: Recording, right: Recording, relative: float = 0.0
) -> Difference | None:
    """The first place where two recordings of `network` differ, or None where there is none.

    Args:
        network: the network that was run.
        left: one recording.
        right: another.
        relative: potentials count as equal up to this share of the layer's largest; 0 compares bit for bit.
            Float networks need it, since executors add in different orders.
    """
    found: list[tuple[tuple[int, int, int], Difference]] = []
    for order, layer in enumerate(network.layers):
        for quantity, a, b in (
            ("spike", left.spikes[layer.name], right.spikes[layer.name]),
            ("potential", left.potentials[layer.name], right.potentials[layer.name]),
        ):
            if a.shape != b.shape:
                raise ValueError(f"recordings of {layer.name!r} have shapes {a.shape} and {b.shape}")
            wrong = np.argwhere(_differ(a, b, relative))
            if not len(wrong):
                continue
            index = tuple(int(i) for i in wrong[0])
            sides = a[index].item(), b[index].item()
            difference = Difference(layer.name, quantity, index[0], index[1], index[2:], *sides)
            found.append(((index[0], index[1], order), difference))
    return min(found, key=lambda item: item[0])[1] if found else None


def _differ(a: IntArray, b: IntArray, relative: float) -> IntArray:
    if not relative:
        return np.asarray(a != b)
    most = relative * max(np.abs(a).max(), np.abs(b).max())
    return np.asarray(np.abs(a.astype(np.float64) - b) > most)
