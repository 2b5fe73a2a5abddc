"""Does not fit: a result with the resource, the demand, the limit, the gap and what would make it fit."""

from __future__ import annotations

import math

from hwsim.chip import Chip
from hwsim.mapping.model import Resources
from snn_export.network import Connection, Dense, Layer, Sparse, SumPool2d

_UNITS = {
    "synapse_memory_bytes": "bytes",
    "inputs": "source neurons",
    "outputs": "pairs of neuron and destination core",
    "weight_bits": "bits",
}


class DoesNotFit(Exception):
    """A layer of which not even one neuron (or one kernel) fits a core.

    Attributes:
        layer: name of the layer.
        resource: `inputs`, `outputs`, `synapse_memory_bytes` or `weight_bits`.
        demand: the least that the layer needs of it on one core.
        bound: what a core has.
        gap: demand less bound.
        unit: unit of the three.
        levers: smallest changes that would make it fit, each enough for this resource.
        where: the place, as `$.layers[name]`.
        what: what is wrong there.
        fix: the levers as one line.
    """

    exit_code = 3

    def __init__(self, chip: str, layer: str, resource: str, demand: int, bound: int, levers: tuple[str, ...]) -> None:
        self.layer, self.resource, self.demand, self.bound = layer, resource, demand, bound
        self.gap, self.unit, self.levers = demand - bound, _UNITS[resource], levers
        self.where = f"$.layers[{layer}]"
        self.what = (
            f"layer {layer!r} does not fit a core of {chip}: it needs {demand} {self.unit} "
            f"and a core has {bound}, {self.gap} too few"
        )
        self.fix = "; or ".join(levers)
        super().__init__(f"{self.what}\n  where: {self.where}\n  fix:   {self.fix}")


def check_weights(layer: Layer, chip: Chip) -> None:
    """Refuse weights of more bits than the chip stores.

    Raises:
        DoesNotFit: with the bits of the widest weight.
    """
    for connection in layer.connections:
        if isinstance(connection.synapse, SumPool2d):
            continue  # weights of 1 fit every chip
        weight = connection.synapse.weight
        widest = max(int(weight.max()), -int(weight.min()) - 1)
        bits = widest.bit_length() + 1
        if bits > chip.core.weight_bits:
            levers = (f"quantise the weights of {layer.name!r} to {chip.core.weight_bits} bits",)
            raise DoesNotFit(chip.name, layer.name, "weight_bits", bits, chip.core.weight_bits, levers)


def refuse(layer: Layer, chip: Chip, least: Resources) -> DoesNotFit:
    """The result for a layer whose finest tile, one neuron, takes `least` and still does not fit."""
    for resource in ("inputs", "synapse_memory_bytes", "outputs"):
        demand, bound = getattr(least, resource), getattr(chip.core, resource)
        if bound is not None and demand > bound:
            break
    levers = [f"use a chip with at least {demand} {_UNITS[resource]} per core"]
    if resource == "outputs":
        levers.append("use larger cores for the layers it feeds, so that they take fewer of them")
    elif len(layer.connections) == 1:
        levers = _fan_in_levers(layer.connections[0], _weights(bound, resource, chip)) + levers
    else:
        levers.insert(0, "remove a connection, or let each come from fewer channels")
    return DoesNotFit(chip.name, layer.name, resource, demand, bound, tuple(levers))


def _weights(bound: int, resource: str, chip: Chip) -> int:
    """How many weights of one neuron a limit allows."""
    return bound * 8 // min(8, chip.core.weight_bits) if resource == "synapse_memory_bytes" else bound


def _fan_in_levers(connection: Connection, weights: int) -> list[str]:
    """Smallest changes of one connection after which a neuron has at most `weights` weights."""
    synapse = connection.synapse
    if isinstance(synapse, Dense | Sparse):
        features = synapse.weight.shape[1] if isinstance(synapse, Dense) else synapse.size[1]
        return [f"give it at most {weights} input features (now {features})"]
    if isinstance(synapse, SumPool2d):
        side = math.isqrt(weights)
        return [f"use a window of {side}x{side} (now {synapse.kernel[0]}x{synapse.kernel[1]})"] if side else []
    out_channels, per_group, height, width = synapse.weight.shape
    levers = []
    channels = weights // (height * width)
    if channels >= 1:
        levers.append(f"give it at most {channels * synapse.groups} input channels (now {per_group * synapse.groups})")
    total = per_group * synapse.groups
    for groups in range(synapse.groups + 1, math.gcd(total, out_channels) + 1):
        if total % groups == 0 and out_channels % groups == 0 and total // groups * height * width <= weights:
            levers.append(f"split it into {groups} groups (now {synapse.groups})")
            break
    side = math.isqrt(weights // per_group)
    if 1 <= side < min(height, width):
        levers.append(f"use a kernel of {side}x{side} (now {height}x{width})")
    return levers
