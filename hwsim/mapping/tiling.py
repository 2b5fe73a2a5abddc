"""Cut a layer into equal blocks of channels, rows and columns, one per core.

The rule: fewest cores, then fewest duplicated inputs (the halo that neighbouring blocks both read), then
fewest cuts of channels, of rows, of columns. All shapes are tried, so the choice is the best of its kind and
always the same.

Cuts into as many cores differ little in their slowest core, since spans are equal but for one neuron: on the STMs
of the shipped models the best of them would be 0 to 2.4 % faster than the one of least halo, and would send up to
four times the packets. So halo comes first; and cores do, because each takes power in every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
class _Parts:
    """What the parts of one axis take: their sizes [parts], what they read and send [parts, sources or users]."""

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

    def along(self, a: int, spans: Sequence[Span]) -> _Parts:
        """What the spans of one axis take, which follow each other and are all of it."""
        starts = [start for start, _ in spans]
        inputs = [_reached(reach.axes[a], spans).sum(1) for reach in self._reaches]
        outputs = [np.add.reduceat(spread[a], starts) for spread in self._spread]
        none = np.zeros((len(spans), 0), np.int64)
        return _Parts(np.array([end - start for start, end in spans]), np.stack(inputs, 1),
                      np.stack(outputs, 1) if outputs else none)  # fmt: skip

    def of(self, axes: Sequence[_Parts]) -> IntArray:
        """What every block takes, a part of each of three axes: [channels, rows, columns, fields of Resources]."""
        sizes = [axis.sizes[:, None] for axis in axes]
        neurons = _blocks(sizes)
        sources = _blocks([axis.inputs for axis in axes])
        bits = min(8, self.chip.core.weight_bits)
        memory = (self._stored_weights(neurons, axes[0].sizes[:, None, None], sources) * bits + 7) // 8
        return np.stack([neurons, memory, sources, _blocks([axis.outputs for axis in axes])], -1)

    def _stored_weights(self, neurons: IntArray, channels: IntArray, sources: IntArray) -> IntArray:
        if not self.chip.core.shared_convolution:
            return neurons * sources
        conv = isinstance(self.layer.connections[0].synapse, Conv2d | SumPool2d)
        return self._weights * (np.broadcast_to(channels, neurons.shape) if conv else neurons)


def tile(demand: Demand) -> Tiling:
    """The best tiling of a layer under all limits of a core.

    Raises:
        DoesNotFit: where even single neurons do not fit.
    """
    cuts = [[_cut(size, parts) for parts in _part_counts(size)] for size in demand.shape]
    taken = [[demand.along(a, spans) for spans in cuts[a]] for a in AXES]
    # no block takes more than the largest part of each axis
    fit = fits(demand.of([_each(found, np.max) for found in taken]), demand.chip)
    if not fit.any():
        least = demand.of([_each(found[-1:], np.max) for found in taken])
        raise refuse(demand.layer, demand.chip, Resources(*least.reshape(-1).tolist()))
    cores = _blocks([np.array([[len(spans)] for spans in tried]) for tried in cuts])
    read = _blocks([_each(found, np.sum).inputs for found in taken])
    for score in (cores, read):
        fit &= score == score[fit].min()
    # of equals, the first has the fewest cuts of channels, then of rows
    best = np.unravel_index(int(fit.argmax()), fit.shape)
    channels, rows, columns = (tried[i] for tried, i in zip(cuts, best, strict=True))
    return Tiling(channels, rows, columns)


def block_resources(demand: Demand, tiling: Tiling) -> list[Resources]:
    """What each block of a tiling takes, in the order of `Tiling.blocks`."""
    found = demand.of([demand.along(a, tiling.axes[a]) for a in AXES])
    return [Resources(*taken) for taken in found.reshape(-1, found.shape[-1]).tolist()]


def fits(used: IntArray, chip: Chip) -> BoolArray:
    """Whether blocks that take [..., fields of Resources] are within the limits of a core."""
    limits = [getattr(chip.core, name) for name in Resources.__dataclass_fields__]
    most = np.array([np.iinfo(np.int64).max if limit is None else limit for limit in limits])
    return np.asarray((used <= most).all(-1))


def _each(cuts: Sequence[_Parts], reduce: Callable[..., IntArray]) -> _Parts:
    """Cuts of an axis, each in the place of a part: the largest, or the sum, of what its own parts take."""
    return _Parts(*(np.stack([reduce(getattr(x, name), axis=0) for x in cuts]) for name in _Parts.__slots__))


def _blocks(axes: Sequence[IntArray]) -> IntArray:
    """Products of three axes [parts, n], summed over n: [channels, rows, columns]."""
    channels, rows, columns = axes
    return np.asarray(np.einsum("ci,ri,xi->crx", channels, rows, columns))


def _cut(size: int, parts: int) -> tuple[Span, ...]:
    """Cut an axis into spans of nearly equal length."""
    return tuple(pairwise(i * size // parts for i in range(parts + 1)))


def _part_counts(size: int) -> list[int]:
    """Numbers of parts worth trying: the smallest for each size of the largest part."""
    return sorted({-(-size // largest) for largest in range(1, size + 1)})


def _reached(reach: BoolArray, spans: Sequence[Span]) -> BoolArray:
    """Bool [spans, sources]: whether any target of the span reads the source; spans follow each other."""
    return np.asarray(np.logical_or.reduceat(reach, [a for a, _ in spans], 0))
