"""The stock lowering: Lava's own Conv, Dense and LIF processes, unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense as LavaDense
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.process import Sparse as LavaSparse
from scipy import sparse

from snn_export.lava.processes.clock import Clock
from snn_export.lava.processes.probe import Probe
from snn_export.lava.processes.source import Source
from snn_export.lava.schedule import Timing, gop_length, schedule
from snn_export.network import (
    DECAY_BITS,
    THRESHOLD_LIMIT,
    Conv2d,
    Dense,
    Layer,
    Sparse,
    SpikingNetwork,
    Synapse,
    weighted,
)


def build(network: SpikingNetwork, folder: Path, steps: int) -> tuple[Clock, Timing]:
    """The Lava graph of a network that `checks.check` accepts; shapes are (W, H, C) in it.

    Returns:
        The clock, which is connected to everything, and how many Lava steps a run takes.
    """
    clock = Clock(folder)
    delays, _ = schedule(network)
    length = gop_length(network, steps)
    shapes, bits = network.shapes, {port.name: port.bits for port in network.inputs}
    ports = {port.name: i for i, port in enumerate(network.inputs)}
    outs: dict[tuple[str, int], Any] = {}
    for i, layer in enumerate(network.layers):
        delay = delays[layer.name]
        lif = _lif(layer, _interval(layer, steps, length), delay, network.fixed)
        for connection in layer.connections:
            source, arrival = connection.source, delay - 1
            if source in ports and (source, arrival) not in outs:
                values = Source(folder, ports[source], shapes[source], length, arrival, transposed=True)
                outs[source, arrival] = values.s_out
            for synapse in _synapses(connection.synapse, shapes[source], bits.get(source, 1) != 1, network.fixed):
                _connect(outs[source, arrival], synapse.s_in)
                synapse.a_out.connect(lif.a_in)
        probe = Probe(folder, i, layer.shape[::-1], length, delay)
        probe.v.connect_var(lif.v)
        lif.s_out.connect(probe.s_in)
        probe.done.connect(clock.done)
        outs[layer.name, delay] = lif.s_out
    return clock, Timing(length, max(delays.values()))


def _lif(layer: Layer, interval: int, delay: int, fixed: bool) -> LIFReset:
    neuron = layer.neuron
    keep = neuron.keep[0].item()
    if fixed:
        du, dv, vth = 2**DECAY_BITS - 1 - int(neuron.ukeep), 2**DECAY_BITS - keep, neuron.vth[0].item()
    else:
        du, dv, vth = 1 - neuron.ukeep, 1 - keep, float(neuron.vth[0])
    # above the largest potential: a read-out never fires
    silent = THRESHOLD_LIMIT if fixed else np.inf
    return LIFReset(
        shape=layer.shape[::-1],
        du=du,
        dv=dv,
        vth=silent if neuron.readout else vth,
        reset_interval=interval,
        reset_offset=delay + 1,
    )


def _interval(layer: Layer, steps: int, length: int) -> int:
    """Steps between resets: the layer's own, or a whole GOP where that comes first."""
    own = layer.neuron.reset_interval
    return own if 0 < own < steps else length


def _synapses(synapse: Synapse, shape: tuple[int, ...], graded: bool, fixed: bool) -> Iterator[Any]:
    # Lava knows messages as binary (0) or graded (anything else)
    message = 8 if graded else 0
    plain, number = weighted(synapse, shape), np.int32 if fixed else np.float64
    if isinstance(plain, Conv2d):
        yield Conv(
            # Lava convolves, with the kernel flipped, over (W, H, C); the contract correlates over (C, H, W)
            weight=plain.weight.astype(number)[:, :, ::-1, ::-1].transpose(0, 3, 2, 1),
            input_shape=shape[::-1],
            stride=plain.stride[::-1],
            padding=plain.padding[::-1],
            dilation=plain.dilation[::-1],
            groups=plain.groups,
            num_message_bits=message,
        )
        return
    matrix = _matrix(plain, shape).astype(number)
    process = LavaDense if isinstance(plain, Dense) else LavaSparse
    for weights in _by_sign(matrix) if fixed else [matrix]:
        yield process(weights=weights, num_message_bits=message)


def _matrix(synapse: Dense | Sparse, shape: tuple[int, ...]) -> Any:
    """The weights, an array or a sparse matrix, for an input flattened from (W, H, C)."""
    order = np.arange(int(np.prod(shape))).reshape(shape).T.reshape(-1)
    if isinstance(synapse, Dense):
        return synapse.weight[:, order]
    return sparse.csr_matrix((synapse.weight, (synapse.rows, np.argsort(order)[synapse.columns])), synapse.size)


def _by_sign(weight: Any) -> list[Any]:
    """Split weights by sign into two parts: where signs are mixed, Lava drops the lowest bit of a matrix."""
    positive = weight * (weight > 0) if isinstance(weight, np.ndarray) else weight.maximum(0)
    parts = [part for part in (positive, weight - positive) if abs(part).sum()]
    return parts or [weight]


def _connect(out: Any, into: Any) -> None:
    (out if out.shape == into.shape else out.reshape(new_shape=into.shape)).connect(into)
