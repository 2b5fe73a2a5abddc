"""The graph itself: ports, populations and their connections, and what a run of it records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from snn_export.network.contract import REAL, STATE_SHIFT, Arithmetic, IntArray, NetworkError, Reset
from snn_export.network.synapse import Synapse
from snn_export.network.validate import check_network, check_port


@dataclass(frozen=True, slots=True)
class InputPort:
    """Where values enter the graph.

    Attributes:
        name: unique among ports and layers.
        shape: channels, height, width, or one number of features.
        bits: 1 for binary spikes; 2 to 16 for signed graded values (sign included); `REAL` for real numbers,
            in float networks only.
        scale: real value of one integer unit; the executors ignore it.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_port(self)

    @property
    def graded(self) -> bool:
        """Whether the values are more than spikes."""
        return self.bits != 1

    @property
    def interval(self) -> tuple[int, int]:
        """Smallest and largest value that may enter; ValueError for real numbers, which have none."""
        if self.bits == REAL:
            raise ValueError(f"port {self.name!r} takes any real number")
        return (0, 1) if self.bits == 1 else (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """Synapses from one port or layer into a layer.

    Attributes:
        source: name of the port or layer the values come from.
        synapse: the weights and their pattern.
    """

    source: str
    synapse: Synapse


@dataclass(frozen=True, slots=True, eq=False)
class LIF:
    """Leaky integrate-and-fire constants of one population: integers, or real numbers in a float network.

    Attributes:
        keep: share of the membrane potential kept per step, in 1/4096 (float: 0 to 1); one number, or one per
            channel.
        vth: threshold before the shift by 6, 0 to 2^17 - 1 (float: 0 and up); one number, or one per channel.
        reset: what a spike does to the potential.
        readout: the population never spikes; its potential is the result.
        ukeep: share of the synaptic current kept per step, in 1/4096 (float: 0 to 1); 0 for no current memory.
        bias: added to the potential each step, in shifted units (float: real); one number, or one per channel.
        reset_interval: u and v return to 0 before steps 0, N, 2 N and so on of each GOP; 0 for step 0 only.
    """

    keep: IntArray
    vth: IntArray
    reset: Reset = Reset.ZERO
    readout: bool = False
    ukeep: float = 0
    bias: IntArray = field(default_factory=lambda: np.zeros(1, np.int32))
    reset_interval: int = 0

    def clears_before(self, step: int) -> bool:
        """Whether all state returns to 0 before this step of a GOP."""
        return step == 0 or (self.reset_interval > 0 and step % self.reset_interval == 0)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population of neurons and what feeds it.

    Attributes:
        name: unique among ports and layers.
        shape: (C, H, W) or (N,); every connection must produce it.
        connections: incoming synapses; their products add up.
        neuron: the constants of the population.
        scale: real value of one unit of ``v / 2^6`` (float: of v): turns a read-out into real numbers; one
            number, or one per channel. The executors ignore it.
    """

    name: str
    shape: tuple[int, ...]
    connections: tuple[Connection, ...]
    neuron: LIF
    scale: IntArray = field(default_factory=lambda: np.ones(1))

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class SpikingNetwork:
    """A validated spiking graph.

    Attributes:
        inputs: where values enter.
        layers: in topological order, sources before their users.
        arithmetic: integers, or real numbers.

    Raises:
        NetworkError: where the description breaks the contract.
    """

    inputs: tuple[InputPort, ...]
    layers: tuple[Layer, ...]
    arithmetic: Arithmetic = Arithmetic.FIXED

    def __post_init__(self) -> None:
        check_network(self)

    def layer(self, name: str) -> Layer:
        """The layer of that name; KeyError where there is none."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def readouts(self) -> tuple[Layer, ...]:
        """The layers whose potential is a result."""
        return tuple(layer for layer in self.layers if layer.neuron.readout)

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of every port and layer by name."""
        ports = {port.name: port.shape for port in self.inputs}
        return MappingProxyType(ports | {layer.name: layer.shape for layer in self.layers})

    @property
    def fixed(self) -> bool:
        """Whether the arithmetic is that of integers."""
        return self.arithmetic is Arithmetic.FIXED

    def require_fixed(self, user: str) -> None:
        """Refuse real numbers.

        Args:
            user: who cannot compute with them.

        Raises:
            NetworkError: for a float network.
        """
        if not self.fixed:
            raise NetworkError(
                "$.arithmetic", f"{user} computes with integers, and this network is float", "quantise it first"
            )

    def real_potentials(self, name: str, potentials: IntArray) -> IntArray:
        """Potentials [..., *shape] of the layer `name` as real numbers, float64, by the layer's scale."""
        layer = self.layer(name)
        unit = layer.scale / 2**STATE_SHIFT if self.fixed else layer.scale
        return np.asarray(potentials.astype(np.float64) * unit.reshape(-1, *(1 for _ in layer.shape[1:])))


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What every executor returns: the state of every layer after every step of every GOP.

    Attributes:
        spikes: layer name to uint8 [G, T, *shape].
        potentials: layer name to int32 (float64 from a float network) [G, T, *shape]: v after the reset of
            that step.
        saturations: layer name to the number of potentials that were clipped, over all steps and GOPs.
    """

    spikes: Mapping[str, IntArray]
    potentials: Mapping[str, IntArray]
    saturations: Mapping[str, int]
