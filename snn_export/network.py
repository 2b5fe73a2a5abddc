"""SpikingNetwork: the typed description of a quantised spiking graph.

A network is a directed acyclic graph. Nodes are `InputPort`s and `Layer`s; a layer is a population of
LIF neurons fed by one or more `Connection`s. The integer law that every executor obeys, for channel k and
step t, is (all operations exact in two's complement):

1. ``a = sum(w * s)``: w int8, s a binary spike or a signed graded value; `accumulator_interval` proves
   |a| < 2^17.
2. ``u' = sign(u) * ((|u| * ukeep) >> 12) + (a << 6)``
3. ``v' = sign(v) * ((|v| * keep) >> 12) + u' + bias``, clipped to +-(2^23 - 1)
4. spike if ``v' > vth << 6``, strictly
5. on a spike: ``zero`` gives 0, ``soft`` gives ``v' - (vth << 6)``, ``none`` leaves ``v'``
6. all state is 0 at the start of each GOP; a read-out layer never spikes.

This module holds data and its validation only: numpy and the standard library, nothing else, because every
other package may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

IntArray: TypeAlias = npt.NDArray[Any]

STATE_SHIFT = 6
"""Left shift of the accumulator and of the threshold into the 24-bit state (Lava's fixed-point LIF)."""
DECAY_BITS = 12
"""Fractional bits of `keep` and `ukeep`: 4096 keeps everything, 0 forgets everything."""
STATE_LIMIT = 2**23 - 1
"""The membrane potential is clipped to +- this value."""
ACCUMULATOR_LIMIT = 2**17
"""|a| must stay below this, so that ``a << 6`` fits 24 bits."""
THRESHOLD_LIMIT = 2**17
"""A threshold fits 17 bits (Lava's LIF)."""
GRADED_BITS_LIMIT = 16
"""A graded input value has at most this many bits, sign included."""


class NetworkError(ValueError):
    """A spiking network that breaks the contract.

    Attributes:
        where: the place, as `$.layers[name].field`.
        what: what is wrong there.
        fix: how to repair it.
    """

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")


class Reset(str, Enum):
    """What a spike does to the membrane potential."""

    ZERO = "zero"
    SOFT = "soft"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class InputPort:
    """Where values enter the graph.

    Attributes:
        name: unique among ports and layers.
        shape: channels, height, width, or one number of features.
        bits: 1 for binary spikes; 2 to 16 for signed graded values (sign included).
        scale: real value of one integer unit; the executors ignore it.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        here = f"$.inputs[{self.name}]"
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise NetworkError(
                f"{here}.shape", f"shape {self.shape} is not (C, H, W) or (N,)", "give 1 or 3 positive sizes"
            )
        if not 1 <= self.bits <= GRADED_BITS_LIMIT:
            raise NetworkError(f"{here}.bits", f"{self.bits} bits", f"use 1 (spikes) to {GRADED_BITS_LIMIT} (graded)")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise NetworkError(
                f"{here}.scale",
                f"scale {self.scale} is not a positive number",
                "give the real value of one unit",
            )

    @property
    def interval(self) -> tuple[int, int]:
        """Smallest and largest value that may enter."""
        return (0, 1) if self.bits == 1 else (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Conv2d:
    """Cross-correlation as torch's conv2d, zero padding.

    Attributes:
        weight: int8 [out channels, in channels / groups, kernel height, kernel width].
        stride: step of the kernel (rows, columns).
        padding: zeros added on each side (rows, columns).
        dilation: distance between taps (rows, columns).
        groups: number of blocks the channels are split into.
    """

    weight: IntArray
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (C, H, W) of the result for an input of `shape`; ValueError says why there is none."""
        if len(shape) != 3:
            raise ValueError(f"a convolution needs (C, H, W), not {shape}")
        out_channels, in_per_group, *kernel = self.weight.shape
        if self.groups < 1 or shape[0] != in_per_group * self.groups or out_channels % self.groups:
            raise ValueError(f"weight {self.weight.shape} with {self.groups} groups does not take {shape[0]} channels")
        size = []
        for axis in (0, 1):
            span = self.dilation[axis] * (kernel[axis] - 1) + 1
            free = shape[axis + 1] + 2 * self.padding[axis] - span
            if min(self.stride[axis], self.dilation[axis]) < 1 or self.padding[axis] < 0 or free < 0:
                raise ValueError(f"kernel {tuple(kernel)} does not fit an input of {shape}")
            size.append(free // self.stride[axis] + 1)
        return (out_channels, *size)


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """All-to-all connection; the input is flattened in C order.

    Attributes:
        weight: int8 [out features, in features].
    """

    weight: IntArray

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape (N,) of the result for an input of `shape`; ValueError says why there is none."""
        if int(np.prod(shape)) != self.weight.shape[1]:
            raise ValueError(f"weight {self.weight.shape} does not take {int(np.prod(shape))} values")
        return (self.weight.shape[0],)


Synapse: TypeAlias = Conv2d | Dense


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
    """Leaky integrate-and-fire constants of one population, in integers.

    Attributes:
        keep: share of the membrane potential kept per step, in 1/4096; one number, or one per channel.
        vth: threshold before the shift by 6, 0 to 2^17 - 1; one number, or one per channel.
        reset: what a spike does to the potential.
        readout: the population never spikes; its potential is the result.
        ukeep: share of the synaptic current kept per step, in 1/4096; 0 for no current memory.
        bias: added to the potential each step, in shifted units; one number, or one per channel.
    """

    keep: IntArray
    vth: IntArray
    reset: Reset = Reset.ZERO
    readout: bool = False
    ukeep: int = 0
    bias: IntArray = field(default_factory=lambda: np.zeros(1, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A population of neurons and what feeds it.

    Attributes:
        name: unique among ports and layers.
        shape: (C, H, W) or (N,); every connection must produce it.
        connections: incoming synapses; their products add up.
        neuron: the constants of the population.
        scale: real value of one unit of ``v / 2^6``: turns a read-out into real numbers.
    """

    name: str
    shape: tuple[int, ...]
    connections: tuple[Connection, ...]
    neuron: LIF
    scale: float = 1.0

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape))


@dataclass(frozen=True, slots=True, eq=False)
class SpikingNetwork:
    """A validated spiking graph: `layers` in topological order, sources before their users.

    Raises:
        NetworkError: where the description breaks the contract.
    """

    inputs: tuple[InputPort, ...]
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[int, ...]] = {}
        intervals: dict[str, tuple[int, int]] = {}
        for port in self.inputs:
            _claim(shapes, port.name, port.shape, f"$.inputs[{port.name}]")
            intervals[port.name] = port.interval
        if not self.inputs or not self.layers:
            raise NetworkError("$", "a network needs an input and a layer", "add the missing part")
        for layer in self.layers:
            here = f"$.layers[{layer.name}]"
            if not layer.connections:
                raise NetworkError(here, "nothing feeds this layer", "add a connection")
            for i, connection in enumerate(layer.connections):
                _check_connection(connection, layer, shapes, f"{here}.connections[{i}]")
            _check_neuron(layer, here)
            _check_accumulator(layer, intervals, here)
            _claim(shapes, layer.name, layer.shape, here)
            intervals[layer.name] = (0, 1)
            for connection in layer.connections:
                source = next((x for x in self.layers if x.name == connection.source), None)
                if source is not None and source.neuron.readout:
                    raise NetworkError(
                        here,
                        f"it listens to read-out {source.name!r}, which never spikes",
                        "connect it to a spiking layer",
                    )

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


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What every executor returns: the state of every layer after every step of every GOP.

    Attributes:
        spikes: layer name to uint8 [G, T, *shape].
        potentials: layer name to int32 [G, T, *shape]: v after the reset of that step.
        saturations: layer name to the number of potentials that were clipped, over all steps and GOPs.
    """

    spikes: Mapping[str, IntArray]
    potentials: Mapping[str, IntArray]
    saturations: Mapping[str, int]


def accumulator_interval(layer: Layer, intervals: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Proven bounds of ``a`` over all inputs in `intervals` (by source name) and all positions of `layer`.

    Interval arithmetic per output channel: a positive weight meets the largest value for the upper bound and
    the smallest for the lower one. Zero padding is covered, since every interval here contains 0.
    """
    low = high = np.zeros(1, np.int64)
    for connection in layer.connections:
        weight = connection.synapse.weight.astype(np.int64).reshape(connection.synapse.weight.shape[0], -1)
        smallest, largest = intervals[connection.source]
        positive, negative = np.maximum(weight, 0).sum(1), np.minimum(weight, 0).sum(1)
        low = low + positive * smallest + negative * largest
        high = high + positive * largest + negative * smallest
    return int(low.min()), int(high.max())


def check_inputs(network: SpikingNetwork, inputs: Mapping[str, IntArray]) -> tuple[int, int]:
    """Check one array [G, T, *shape] per port, integers within the port's interval.

    Returns:
        The number of GOPs G and of steps T.

    Raises:
        NetworkError: naming the port and what is wrong with its array.
    """
    sizes: set[tuple[int, int]] = set()
    for port in network.inputs:
        here = f"input {port.name!r}"
        if port.name not in inputs:
            raise NetworkError(
                here, "no values were given", f"pass one array for each of {[p.name for p in network.inputs]}"
            )
        array = inputs[port.name]
        if array.ndim != 2 + len(port.shape) or array.shape[2:] != port.shape or 0 in array.shape[:2]:
            raise NetworkError(
                here,
                f"array of shape {array.shape}",
                f"give [GOPs, steps, {', '.join(map(str, port.shape))}]",
            )
        if array.dtype.kind not in "iub":
            raise NetworkError(here, f"values of type {array.dtype}", "round them to integers first")
        low, high = port.interval
        if int(array.min()) < low or int(array.max()) > high:
            raise NetworkError(
                here,
                f"values {array.min()} to {array.max()} leave {low}..{high}",
                "clip them, or declare more bits",
            )
        sizes.add((array.shape[0], array.shape[1]))
    if len(sizes) > 1:
        raise NetworkError("inputs", f"different numbers of GOPs and steps: {sorted(sizes)}", "give all ports the same")
    return sizes.pop()


def _claim(shapes: dict[str, tuple[int, ...]], name: str, shape: tuple[int, ...], where: str) -> None:
    if not name or name in shapes:
        raise NetworkError(where, f"the name {name!r} is empty or taken", "give each port and layer its own name")
    shapes[name] = shape


def _check_connection(connection: Connection, layer: Layer, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    weight, expected = connection.synapse.weight, 4 if isinstance(connection.synapse, Conv2d) else 2
    if connection.source not in shapes:
        raise NetworkError(
            f"{where}.source",
            f"no port or earlier layer is named {connection.source!r}",
            f"use one of {sorted(shapes)}",
        )
    if weight.dtype != np.int8 or weight.ndim != expected or 0 in weight.shape:
        raise NetworkError(
            f"{where}.weight",
            f"{weight.dtype} array of shape {weight.shape}",
            f"give int8 with {expected} dimensions",
        )
    try:
        shape = connection.synapse.output_shape(shapes[connection.source])
    except ValueError as error:
        raise NetworkError(f"{where}.synapse", str(error), "correct the weight's shape or the source") from error
    if shape != layer.shape:
        raise NetworkError(
            f"{where}.synapse",
            f"it produces {shape}, the layer has {layer.shape}",
            "correct the layer's shape",
        )


def _check_neuron(layer: Layer, where: str) -> None:
    neuron, channels = layer.neuron, layer.shape[0]
    limits = {
        "keep": (neuron.keep, 0, 2**DECAY_BITS),
        "vth": (neuron.vth, 0, THRESHOLD_LIMIT - 1),
        "bias": (neuron.bias, -STATE_LIMIT, STATE_LIMIT),
    }
    for name, (value, low, high) in limits.items():
        if value.dtype.kind not in "iu" or value.shape not in ((1,), (channels,)):
            raise NetworkError(
                f"{where}.neuron.{name}",
                f"{value.dtype} array of shape {value.shape}",
                f"give integers of shape (1,) or ({channels},)",
            )
        if int(value.min()) < low or int(value.max()) > high:
            raise NetworkError(
                f"{where}.neuron.{name}",
                f"{value.min()}..{value.max()} leaves {low}..{high}",
                "bring it into range",
            )
    if not 0 <= neuron.ukeep <= 2**DECAY_BITS:
        raise NetworkError(f"{where}.neuron.ukeep", f"{neuron.ukeep}", f"use 0 to {2**DECAY_BITS}")
    if not (np.isfinite(layer.scale) and layer.scale > 0):
        raise NetworkError(
            f"{where}.scale",
            f"scale {layer.scale} is not a positive number",
            "give the real value of one unit",
        )


def _check_accumulator(layer: Layer, intervals: Mapping[str, tuple[int, int]], where: str) -> None:
    low, high = accumulator_interval(layer, intervals)
    if max(-low, high) >= ACCUMULATOR_LIMIT:
        raise NetworkError(
            where,
            f"its accumulator can reach {low}..{high}, past +-2^17",
            "scale its weights or its input down",
        )
