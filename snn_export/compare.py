"""Find the first bit in which two recordings differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn_export.network import Recording, SpikingNetwork


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
    left: int
    right: int

    def __str__(self) -> str:
        return (
            f"layer {self.layer!r}, GOP {self.gop}, step {self.step}, place {self.place}: "
            f"{self.quantity} {self.left} against {self.right}"
        )


def first_difference(network: SpikingNetwork, left: Recording, right: Recording) -> Difference | None:
    """The first place where two recordings of `network` differ, or None where they are equal bit for bit."""
    found: list[tuple[tuple[int, int, int], Difference]] = []
    for order, layer in enumerate(network.layers):
        for quantity, a, b in (
            ("spike", left.spikes[layer.name], right.spikes[layer.name]),
            ("potential", left.potentials[layer.name], right.potentials[layer.name]),
        ):
            if np.array_equal(a, b):
                continue
            if a.shape != b.shape:
                raise ValueError(f"recordings of {layer.name!r} have shapes {a.shape} and {b.shape}")
            index = tuple(int(i) for i in np.argwhere(a != b)[0])
            difference = Difference(layer.name, quantity, index[0], index[1], index[2:], int(a[index]), int(b[index]))
            found.append(((index[0], index[1], order), difference))
    return min(found, key=lambda item: item[0])[1] if found else None
