"""Which source neurons reach which target neurons, axis by axis.

Every population is seen as (C, H, W); a flat one of N features as (N, 1, 1). All boolean matrices here are
separable factors: a source (c, y, x) reaches a target (o, r, q) exactly where each axis says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snn_export.network import Connection, Conv2d, Layer, Sparse, SpikingNetwork, SumPool2d, Synapse, weighted

BoolArray = npt.NDArray[np.bool_]
Shape3 = tuple[int, int, int]
AXES = (0, 1, 2)


def shape3(shape: tuple[int, ...]) -> Shape3:
    """A shape (C, H, W) or (N,) as three sizes."""
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (shape[0], 1, 1)


def taps(synapse: Conv2d, axis: int, targets: int, sources: int) -> BoolArray:
    """Bool [kernel, targets, sources] of one spatial axis (0 rows, 1 columns) of a convolution.

    True where that kernel place of that target reads that source; taps that fall on padding have no source.
    """
    kernel = synapse.weight.shape[2 + axis]
    found = np.zeros((kernel, targets, sources), bool)
    for k in range(kernel):
        place = np.arange(targets) * synapse.stride[axis] - synapse.padding[axis] + k * synapse.dilation[axis]
        inside = (place >= 0) & (place < sources)
        found[k, np.flatnonzero(inside), place[inside]] = True
    return found


def channel_reach(synapse: Conv2d) -> BoolArray:
    """Bool [out channels, in channels]: whether they are in the same group."""
    out_channels, per_group = synapse.weight.shape[:2]
    group = np.arange(out_channels) // (out_channels // synapse.groups)
    return np.asarray(group[:, None] == np.arange(per_group * synapse.groups)[None, :] // per_group)


def fan_in(synapse: Synapse) -> int:
    """Most weights into one neuron; neurons of one channel of a convolution share theirs."""
    if isinstance(synapse, SumPool2d):
        return synapse.kernel[0] * synapse.kernel[1]
    if isinstance(synapse, Sparse):
        return int(np.bincount(synapse.rows).max())
    return int(np.prod(synapse.weight.shape[1:]))


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What a layer reads from one source.

    Attributes:
        source: name of the port or layer.
        axes: bool [targets, sources] for channels, rows and columns; a union where several connections come
            from the same source.
    """

    source: str
    axes: tuple[BoolArray, BoolArray, BoolArray]


def connection_reach(connection: Connection, layer: Layer, source: tuple[int, ...]) -> Reach:
    """The reach of one connection, whatever the values of its weights."""
    target, sizes, synapse = shape3(layer.shape), shape3(source), weighted(connection.synapse, source)
    if isinstance(synapse, Conv2d):
        rows, columns = (taps(synapse, a, target[1 + a], sizes[1 + a]).any(0) for a in (0, 1))
        return Reach(connection.source, (channel_reach(synapse), rows, columns))
    full = [np.ones((target[a], sizes[a]), bool) for a in AXES]
    return Reach(connection.source, (full[0], full[1], full[2]))


def reaches(network: SpikingNetwork, layer: Layer) -> tuple[Reach, ...]:
    """The reach of a layer from each of its distinct sources, in order of first use."""
    found: dict[str, Reach] = {}
    for connection in layer.connections:
        new = connection_reach(connection, layer, network.shapes[connection.source])
        old = found.get(new.source)
        if old is not None:
            a, b, c = (x | y for x, y in zip(old.axes, new.axes, strict=True))
            new = Reach(new.source, (a, b, c))
        found[new.source] = new
    return tuple(found.values())
