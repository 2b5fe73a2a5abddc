"""What a netx file cannot say: one small function per limit, its docstring is the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from snn_export.network import STATE_SHIFT, Conv2d, Dense, Layer, NetworkError, Reset, Sparse, SpikingNetwork
from snn_export.netx.dense import effective
from snn_export.netx.synapses import mergeable, merged

BIAS_LIMIT = 2**12
"""Lava's LIF keeps 13 bits of a bias, sign included, before the shift by 6."""
FIELD_LIMIT = 127
"""Lava's Conv keeps kernel size, stride, padding, dilation and groups in 8 signed bits."""

MATRIX_LIMIT = 2**26
"""Weights of a matrix that is written out with its zeros."""

Reasons = Iterator[NetworkError]


def integers(network: SpikingNetwork) -> Reasons:
    """netx computes with integers."""
    if not network.fixed:
        yield NetworkError("$.arithmetic", "a netx file holds integers, and this network is float", "quantise it first")


def chain(network: SpikingNetwork) -> Reasons:
    """netx knows one input and layers one after the other: each hears the one before it and nobody else."""
    if len(network.inputs) > 1:
        names = [port.name for port in network.inputs]
        yield NetworkError("$.inputs", f"{len(names)} inputs, a netx file has one", f"write {names} apart")
    before = network.inputs[0].name
    for layer in network.layers:
        sources = sorted({connection.source for connection in layer.connections} - {before})
        if sources:
            where, what = f"$.layers[{layer.name}].connections", f"it hears {sources}; a netx layer hears {before!r}"
            yield NetworkError(where, what, "use snn_export.files or NIR, which know branches")
        before = layer.name


def one_pattern(network: SpikingNetwork) -> Reasons:
    """Parallel connections are added up, so they must have one pattern."""
    for layer in network.layers:
        if not mergeable(layer):
            where = f"$.layers[{layer.name}].connections"
            yield NetworkError(where, "parallel synapses of different pattern", "join them into one convolution")


def hard_reset(network: SpikingNetwork) -> Reasons:
    """A spike sets the potential to 0; there is no other reset."""
    for layer in network.layers:
        if not layer.neuron.readout and layer.neuron.reset is not Reset.ZERO:
            what = f"a {layer.neuron.reset.value!r} reset, netx knows 'zero' only"
            yield _at(layer, "reset", what, "train the layer with reset to zero")


def whole_gops(network: SpikingNetwork) -> Reasons:
    """State returns to 0 at the start of a GOP only: a file has no interval of its own."""
    for layer in network.layers:
        if layer.neuron.reset_interval:
            yield _at(layer, "reset_interval", "a periodic reset, netx knows none per layer", "cut the input instead")


def one_threshold(network: SpikingNetwork) -> Reasons:
    """A layer has one threshold."""
    for layer in network.layers:
        if not layer.neuron.readout and np.unique(layer.neuron.vth).size > 1:
            yield _at(layer, "vth", "it differs between channels", "quantise with one scale per layer")


def small_bias(network: SpikingNetwork) -> Reasons:
    """A bias is a multiple of 64, and has 13 bits after division by it."""
    for layer in network.layers:
        mantissa, rest = np.divmod(layer.neuron.bias, 2**STATE_SHIFT)
        if rest.any() or mantissa.min() < -BIAS_LIMIT or mantissa.max() >= BIAS_LIMIT:
            what = f"{layer.neuron.bias.min()}..{layer.neuron.bias.max()}: not multiples of 64 within 13 bits of them"
            yield _at(layer, "bias", what, "round it to a multiple of 64")


def matrix_fits(network: SpikingNetwork) -> Reasons:
    """A list of single synapses is written as a matrix, of at most 2^26 weights."""
    for layer in network.layers:
        for connection in layer.connections:
            synapse = connection.synapse
            if isinstance(synapse, Sparse) and synapse.size[0] * synapse.size[1] > MATRIX_LIMIT:
                where, what = f"$.layers[{layer.name}].connections", f"a sparse matrix of {synapse.size}"
                yield NetworkError(where, f"{what} is too large to write out with its zeros", "use snn_export.files")


def geometry_fits(network: SpikingNetwork) -> Reasons:
    """Kernel size, stride, padding, dilation and groups are at most 127."""
    for layer in network.layers:
        synapse = merged(network, layer) if mergeable(layer) else None
        if isinstance(synapse, Conv2d):
            pairs = (synapse.weight.shape[2:], synapse.stride, synapse.padding, synapse.dilation, (synapse.groups,))
            largest = max(n for pair in pairs for n in pair)
            if largest > FIELD_LIMIT:
                where = f"$.layers[{layer.name}].connections"
                yield NetworkError(where, f"{largest} leaves the {FIELD_LIMIT} of a Conv", "use a smaller kernel")


def dense_holds(network: SpikingNetwork) -> Reasons:
    """A dense matrix must survive Loihi's 8 bits: not all zero, and no weight that is cut."""
    for layer in network.layers:
        synapse = merged(network, layer) if mergeable(layer) else None
        if isinstance(synapse, Dense):
            found = effective(synapse.weight)
            if found is None or not np.array_equal(found, synapse.weight):
                where = f"$.layers[{layer.name}].connections"
                what = f"netx cannot hold weights of {synapse.weight.min()}..{synapse.weight.max()} exactly"
                yield NetworkError(where, what, "avoid -128 where no weight is positive, and matrices of zeros")


RULES: tuple[Callable[[SpikingNetwork], Reasons], ...] = (
    integers, chain, one_pattern, matrix_fits, hard_reset, whole_gops, one_threshold, small_bias,
    geometry_fits, dense_holds,
)  # fmt: skip


def check(network: SpikingNetwork) -> tuple[NetworkError, ...]:
    """Every reason why a netx file cannot say `network` exactly; empty where it can."""
    structure = tuple(reason for rule in RULES[:4] for reason in rule(network))
    return structure or tuple(reason for rule in RULES[4:] for reason in rule(network))


def _at(layer: Layer, field: str, what: str, fix: str) -> NetworkError:
    return NetworkError(f"$.layers[{layer.name}].neuron.{field}", what, fix)
