"""What each lowering cannot express: one small function per limit, its docstring is the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from snn_export import netx
from snn_export.lava.schedule import schedule
from snn_export.network import (
    DECAY_BITS,
    STATE_SHIFT,
    Conv2d,
    Layer,
    Reset,
    SpikingNetwork,
    accumulator_interval,
    source_intervals,
    weighted,
)

CURRENT_LIMIT = 2**23
"""Lava's LIF wraps a synaptic current that reaches this value."""
FIELD_LIMIT = 127
"""Lava's Conv keeps kernel size, stride, padding, dilation and groups in 8 signed bits."""


def hard_reset(network: SpikingNetwork) -> Iterator[str]:
    """A stock LIF sets its potential to 0 on a spike; it has no other reset."""
    for layer in network.layers:
        if not layer.neuron.readout and layer.neuron.reset is not Reset.ZERO:
            yield f"{_place(layer)}.reset: {layer.neuron.reset.value!r}; a stock LIF resets to zero only"


def one_keep(network: SpikingNetwork) -> Iterator[str]:
    """A stock LIF has one voltage decay for the whole population."""
    for layer in network.layers:
        if np.unique(layer.neuron.keep).size > 1:
            yield f"{_place(layer)}.keep: it differs between channels; a stock LIF has one for all"


def one_threshold(network: SpikingNetwork) -> Iterator[str]:
    """A stock LIF has one threshold for the whole population."""
    for layer in network.layers:
        if not layer.neuron.readout and np.unique(layer.neuron.vth).size > 1:
            yield f"{_place(layer)}.vth: it differs between channels; a stock LIF has one for all"


def no_bias(network: SpikingNetwork) -> Iterator[str]:
    """The stock lowering carries no bias: Lava splits it into 13 bits of mantissa and 3 of exponent."""
    for layer in network.layers:
        if layer.neuron.bias.any():
            yield f"{_place(layer)}.bias: it is not 0; the stock lowering carries no bias"


def bounded_current(network: SpikingNetwork) -> Iterator[str]:
    """A stock LIF wraps its synaptic current at 24 bits: the current memory must stay below 2^23."""
    if not network.fixed:
        return
    intervals = source_intervals(network)
    for layer in network.layers:
        low, high = accumulator_interval(layer, intervals)
        forget = 2**DECAY_BITS - int(layer.neuron.ukeep)
        # |u| <= |u| ukeep / 2^12 + (|a| << 6) has its fixed point at (|a| << 6) 2^12 / (2^12 - ukeep)
        reach = max(-low, high) << (STATE_SHIFT + DECAY_BITS)
        if layer.neuron.ukeep and reach >= CURRENT_LIMIT * forget:
            yield f"{_place(layer)}.ukeep: {layer.neuron.ukeep} lets the current reach 2^23, where it wraps"


def geometry_fits(network: SpikingNetwork) -> Iterator[str]:
    """A stock Conv holds kernel size, stride, padding, dilation and groups in 8 bits: at most 127."""
    for layer in network.layers:
        for i, connection in enumerate(layer.connections):
            synapse = weighted(connection.synapse, network.shapes[connection.source])
            if not isinstance(synapse, Conv2d):
                continue
            pairs = (synapse.weight.shape[2:], synapse.stride, synapse.padding, synapse.dilation)
            largest = max(synapse.groups, *(n for pair in pairs for n in pair))
            if largest > FIELD_LIMIT:
                yield (
                    f"$.layers[{layer.name}].connections[{i}].synapse: {largest} leaves the {FIELD_LIMIT} "
                    "that a stock Conv can hold"
                )


def delays_line_up(network: SpikingNetwork) -> Iterator[str]:
    """Each stock Conv or Dense delays by one step: all paths between two layers must be equally long."""
    yield from schedule(network)[1]


def netx_says(network: SpikingNetwork) -> Iterator[str]:
    """A netx file must be able to say every stream of the network; `snn_export.netx.limits` has the limits."""
    for part in netx.streams(network).values():
        yield from (f"{reason.where}: {reason.what}" for reason in netx.check(part))


RULES: dict[str, tuple[Callable[[SpikingNetwork], Iterator[str]], ...]] = {
    "stock": (
        hard_reset, one_keep, one_threshold, no_bias, bounded_current, geometry_fits, delays_line_up,
    ),
    "fused": (),
    "netx": (netx_says, bounded_current),
}  # fmt: skip
"""The limits of each lowering; the fused one expresses the whole contract."""


def check(network: SpikingNetwork, lowering: str) -> tuple[str, ...]:
    """Every reason why `lowering` cannot express `network`, bit for bit; empty where it can.

    Raises:
        ValueError: for a lowering of another name than those of `RULES`.
    """
    if lowering not in RULES:
        raise ValueError(f"no lowering is named {lowering!r}: use one of {sorted(RULES)}")
    return tuple(reason for rule in RULES[lowering] for reason in rule(network))


def _place(layer: Layer) -> str:
    return f"$.layers[{layer.name}].neuron"
