"""A spiking op in the terms of the contract: its layer, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import nn

from hybrid.graph.cells import Kind, Refused, Role
from hybrid.graph.expression import Apply, Expression, chains
from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    IntArray,
    Layer,
    NetworkError,
    Reset,
    Sparse,
    Synapse,
    weighted,
)
from snn_export.nir.linear import Chain

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """What a chip would run of a spiking op.

    Attributes:
        layers: float layers whose sources are ops by name, or layers before them; the last one is the op's own.
            Empty where the contract cannot say it.
        refusals: why it cannot, by `neuron` or `synapses`.
        fixed: the layers compute with integers already.
        late: the model has its results one step later than the layers give them.
    """

    layers: tuple[Layer, ...] = ()
    refusals: Mapping[str, str] = field(default_factory=dict)
    fixed: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """What a population listens to.

    Attributes:
        name: of the op.
        shape: of one step, as the op's layer has it.
        flat: whether torch has these values in a row.
    """

    name: str
    shape: Shape
    flat: bool


def describe(
    name: str, cell: nn.Module, kind: Kind, expression: Expression, sources: Sequence[Source], role: Role
) -> Population:
    """The layers of the population `name`, exactly, or the reasons against them."""
    for source in sources:
        if len(source.shape) not in (1, 3):
            what = f"values of shape {source.shape} reach it, and a chip takes (C, H, W) or (N,)"
            return Population(refusals={"synapses": what})
    if kind.layer is not None:
        return _integers(name, cell, kind, expression, sources)
    if kind.synapse is not None:
        expression = Apply(kind.synapse(cell), expression)
    try:
        found = chains(expression, [Chain(s.name, s.shape, s.shape, flat=s.flat) for s in sources])
        law = kind.law(cell, found[0].shape, role)
    except Refused as error:
        return Population(refusals={"neuron": str(error)})
    except (NetworkError, ValueError) as error:
        return Population(refusals={"synapses": getattr(error, "what", str(error))})
    shape = found[0].shape
    connections = [Connection(chain.source, chain.finish(law.gain)) for chain in found]
    bias = sum((chain.bias for chain in found), np.zeros(1)) * law.gain
    if not law.lif.ukeep:
        lif = replace(law.lif, bias=law.lif.bias + bias)
        return Population((Layer(name, shape, tuple(connections), lif),))
    first = []
    if bias.any():
        shapes = {source.name: source.shape for source in sources}
        first = [_always(f"{name}.bias", connections[0], shape, shapes[connections[0].source])]
        connections.append(Connection(first[0].name, _constant_input(bias, shape)))
    return Population((*first, Layer(name, shape, tuple(connections), law.lif)))


def _integers(name: str, cell: nn.Module, kind: Kind, expression: Expression, sources: Sequence[Source]) -> Population:
    """The population of a cell that computes with integers, with its own synapses."""
    try:
        (chain,) = chains(expression, [Chain(s.name, s.shape, s.shape) for s in sources])
        if chain.synapse is not None or (chain.gain != 1).any() or chain.bias.any():
            return Population(refusals={"synapses": "other synapses stand in front of its own"})
        layer = kind.layer(cell, name, chain.source, chain.shape) if kind.layer else None
    except Refused as error:
        return Population(refusals={"neuron": str(error)})
    except (NetworkError, ValueError) as error:
        return Population(refusals={"neuron": getattr(error, "what", str(error))})
    return Population((layer,) if layer else (), fixed=True, late=kind.late(cell))


def _always(name: str, beside: Connection, shape: Shape, source: Shape) -> Layer:
    """Neurons that fire in every step: what a bias is to neurons with a current memory.

    The contract adds a bias to the potential; a bias of the current is a synapse from these. One neuron serves
    all of a vector, one per place all channels of a map. Their input has no weight.
    """
    synapse: Synapse
    if len(shape) == 1:
        synapse = Dense(np.zeros((1, int(np.prod(source)))))
    else:
        other = weighted(beside.synapse, source)
        if not isinstance(other, Conv2d):
            raise TypeError(f"{type(other).__name__} does not make a map")
        synapse = Conv2d(
            np.zeros((1, source[0], *other.weight.shape[2:])), other.stride, other.padding, other.dilation
        )  # fmt: skip
    neuron = LIF(np.zeros(1), np.zeros(1), Reset.ZERO, bias=np.ones(1))
    return Layer(name, (1, *shape[1:]), (Connection(beside.source, synapse),), neuron)


def _constant_input(bias: IntArray, shape: Shape) -> Conv2d | Dense | Sparse:
    """Synapses from `_always` neurons that bring each channel its bias."""
    weight = np.array(np.broadcast_to(bias, shape[:1]))
    return Dense(weight[:, None]) if len(shape) == 1 else Conv2d(weight[:, None, None, None])
