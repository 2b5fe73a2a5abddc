"""Cut a layer into equal blocks of channels, rows and columns, one per core.

The rule: fewest cores, then fewest duplicated inputs (the halo that neighbouring blocks both read), then
fewest cuts of channels, of rows, of columns. All shapes are tried, so the choice is the best of its kind and
always the same.

Cuts into as many cores differ little in their slowest core, since spans are equal but for one neuron: on the STMs
of the shipped models the best of them would be 0 to 2.4 % faster than the one of least halo, and would send up to
four times the packets. So halo comes first; and cores do, because each takes power in every step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from hwsim.chip import Chip
from hwsim.mapping.fit import refuse
from hwsim.mapping.geometry import AXES, BoolArray, Reach, fan_in, shape3
from hwsim.mapping.model import Resources, Span
from snn_export.network import Conv2d, IntArray, Layer, SumPool2d

Block = tuple[Span, Span, Span]
"""Channels, rows and columns of one core."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """The cuts of one layer: its blocks are all combinations of a channel, a row and a column span."""

    channels: tuple[Span, ...]
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @property
    def axes(self) -> tuple[tuple[Span, ...], tuple[Span, ...], tuple[Span, ...]]:
        """The spans of the three axes."""
        return (self.channels, self.rows, self.columns)

    @property
    def blocks(self) -> list[Block]:
        """All blocks, channels outermost."""
        return list(product(*self.axes))


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """What the parts of one axis take when it is cut into `spans`; arrays are [parts, sources or users]."""

    spans: tuple[Span, ...]
    sizes: IntArray
    inputs: IntArray
    outputs: IntArray


class Demand:
    """What blocks of a layer take, from its sources and from the tilings of the layers it feeds.

    Args:
        layer: the layer to cut.
        reaches: what it reads, one entry per distinct source.
        users: what each layer it feeds reads from it, with that layer's tiling.
        chip: for the width of weights and whether kernels are shared.
    """

    def __init__(
        self, layer: Layer, reaches: Sequence[Reach], users: Sequence[tuple[Reach, Tiling]], chip: Chip
    ) -> None:
        self.layer, self.chip, self.shape = layer, chip, shape3(layer.shape)
        self._reaches = reaches
        # per user and axis: how many of the user's parts each place of this layer goes to
        self._spread = [[_reached(reach.axes[a], tiling.axes[a]).sum(0) for a in AXES] for reach, tiling in users]
        self._weights = sum(fan_in(connection.synapse) for connection in layer.connections)

    def axis(self, a: int, parts: int) -> _Axis:
        """Cut one axis into `parts` nearly equal spans."""
        cuts = [i * self.shape[a] // parts for i in range(parts + 1)]
        spans = tuple(pairwise(cuts))
        inputs = [_reached(reach.axes[a], spans).sum(1) for reach in self._reaches]
        outputs = [np.add.reduceat(spread[a], cuts[:-1]) for spread in self._spread]
        return _Axis(
            spans,
            np.diff(cuts),
            np.stack(inputs, 1),
            np.stack(outputs, 1) if outputs else np.zeros((parts, 0), np.int64),
        )

    def of(self, sizes: Sequence[int], inputs: Sequence[IntArray], outputs: Sequence[IntArray]) -> Resources:
        """What a block takes whose three axes have these sizes, inputs [sources] and outputs [users]."""
        neurons = int(np.prod(sizes))
        sources = int((inputs[0] * inputs[1] * inputs[2]).sum())
        bits = min(8, self.chip.core.weight_bits)
        return Resources(
            neurons,
            (self._stored_weights(neurons, int(sizes[0]), sources) * bits + 7) // 8,
            sources,
            int((outputs[0] * outputs[1] * outputs[2]).sum()),
        )

    def _stored_weights(self, neurons: int, channels: int, sources: int) -> int:
        if not self.chip.core.shared_convolution:
            return neurons * sources
        conv = isinstance(self.layer.connections[0].synapse, Conv2d | SumPool2d)
        return self._weights * (channels if conv else neurons)


def tile(demand: Demand) -> Tiling:
    """The best tiling of a layer under all limits of a core.

    Raises:
        DoesNotFit: where even single neurons do not fit.
    """
    cuts = [[demand.axis(a, n) for n in _part_counts(demand.shape[a])] for a in AXES]
    best: tuple[tuple[int, ...], Tiling] | None = None
    for parts in product(*cuts):
        cores = int(np.prod([len(axis.spans) for axis in parts]))
        if best is not None and cores > best[0][0]:
            continue
        # no block takes more than the largest part of each axis
        worst = demand.of(*([x.max(0) for x in axis] for axis in _columns(parts)))
        if not fits(worst, demand.chip):
            continue
        read = int(np.prod([axis.inputs.sum(0) for axis in parts], axis=0).sum())
        score = (cores, read, *(len(axis.spans) for axis in parts))
        if best is None or score < best[0]:
            best = score, Tiling(*(axis.spans for axis in parts))
    if best is None:
        finest = [axis[-1] for axis in cuts]
        raise refuse(demand.layer, demand.chip, demand.of(*([x.max(0) for x in a] for a in _columns(finest))))
    return best[1]


def block_resources(demand: Demand, tiling: Tiling) -> list[Resources]:
    """What each block of a tiling takes, in the order of `Tiling.blocks`."""
    axes = [demand.axis(a, len(tiling.axes[a])) for a in AXES]
    indices = product(*(range(len(axis.spans)) for axis in axes))
    return [
        demand.of(*([x[i] for x, i in zip(values, index, strict=True)] for values in _columns(axes)))
        for index in indices
    ]


def fits(used: Resources, chip: Chip) -> bool:
    """Whether a block's resources are within the limits of a core."""
    limits = [(getattr(used, name), getattr(chip.core, name)) for name in Resources.__dataclass_fields__]
    return all(limit is None or value <= limit for value, limit in limits)


def _columns(axes: Sequence[_Axis]) -> tuple[list[IntArray], list[IntArray], list[IntArray]]:
    return [x.sizes for x in axes], [x.inputs for x in axes], [x.outputs for x in axes]


def _part_counts(size: int) -> list[int]:
    """Numbers of parts worth trying: the smallest for each size of the largest part."""
    return sorted({-(-size // largest) for largest in range(1, size + 1)})


def _reached(reach: BoolArray, spans: Sequence[Span]) -> BoolArray:
    """Bool [spans, sources]: whether any target of the span reads the source."""
    return np.stack([reach[a:b].any(0) for a, b in spans])
