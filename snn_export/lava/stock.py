"""The stock lowering: Lava's own Conv, Dense and LIF processes, unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense as LavaDense
from lava.proc.lif.process import LIFReset

from snn_export.lava import job
from snn_export.lava.processes.clock import Clock
from snn_export.lava.processes.probe import Probe
from snn_export.lava.processes.source import Source
from snn_export.lava.schedule import schedule
from snn_export.network import (
    DECAY_BITS,
    THRESHOLD_LIMIT,
    Conv2d,
    Dense,
    IntArray,
    Layer,
    SpikingNetwork,
    Synapse,
)


def build(network: SpikingNetwork, folder: Path, gops: int, steps: int) -> tuple[Clock, int]:
    """The Lava graph of a network that `checks.check` accepts; shapes are (W, H, C) in it.

    Returns:
        The clock, which is connected to everything, and the number of Lava steps to run: one more than the
        last layer needs, since the clock counts a step before the potentials of that step are read.
    """
    clock = Clock(folder / job.PROGRESS)
    delays, _ = schedule(network)
    shapes, bits = network.shapes, {port.name: port.bits for port in network.inputs}
    ports = {port.name: i for i, port in enumerate(network.inputs)}
    outs: dict[tuple[str, int], Any] = {}
    for i, layer in enumerate(network.layers):
        delay = delays[layer.name]
        lif = _lif(layer, steps, delay)
        for connection in layer.connections:
            source, arrival = connection.source, delay - 1
            if source in ports and (source, arrival) not in outs:
                path = job.input_path(folder, ports[source])
                outs[source, arrival] = Source(path, shapes[source], arrival, transposed=True).s_out
            for synapse in _synapses(connection.synapse, shapes[source], bits.get(source, 1)):
                _connect(outs[source, arrival], synapse.s_in)
                synapse.a_out.connect(lif.a_in)
        probe = Probe(folder, i, layer.shape[::-1], delay)
        probe.v.connect_var(lif.v)
        lif.s_out.connect(probe.s_in)
        probe.done.connect(clock.done)
        outs[layer.name, delay] = lif.s_out
    return clock, gops * steps + max(delays.values()) + 1


def _lif(layer: Layer, steps: int, delay: int) -> LIFReset:
    neuron = layer.neuron
    # a threshold of 2^17 lies above the largest potential: a read-out never fires
    vth = THRESHOLD_LIMIT if neuron.readout else int(neuron.vth[0])
    return LIFReset(
        shape=layer.shape[::-1],
        du=2**DECAY_BITS - 1 - neuron.ukeep,
        dv=2**DECAY_BITS - int(neuron.keep[0]),
        vth=vth,
        reset_interval=steps,
        reset_offset=delay + 1,
    )


def _synapses(synapse: Synapse, shape: tuple[int, ...], bits: int) -> Iterator[Any]:
    # Lava knows messages as binary (0) or graded (anything else)
    message = 0 if bits == 1 else bits
    if isinstance(synapse, Conv2d):
        yield Conv(
            # Lava convolves, with the kernel flipped, over (W, H, C); the contract correlates over (C, H, W)
            weight=synapse.weight.astype(np.int32)[:, :, ::-1, ::-1].transpose(0, 3, 2, 1),
            input_shape=shape[::-1],
            stride=synapse.stride[::-1],
            padding=synapse.padding[::-1],
            dilation=synapse.dilation[::-1],
            groups=synapse.groups,
            num_message_bits=message,
        )
        return
    for weight in _by_sign(_transposed(synapse, shape)):
        yield LavaDense(weights=weight, num_message_bits=message)


def _transposed(synapse: Dense, shape: tuple[int, ...]) -> IntArray:
    """The weights for an input flattened from (W, H, C)."""
    weight = synapse.weight.astype(np.int32)
    order = np.arange(weight.shape[1]).reshape(shape).T.reshape(-1)
    return weight[:, order]


def _by_sign(weight: IntArray) -> list[IntArray]:
    """Split weights by sign into two parts: where signs are mixed, Lava's Dense drops the lowest bit."""
    parts = [part for part in (np.maximum(weight, 0), np.minimum(weight, 0)) if part.any()]
    return parts or [weight]


def _connect(out: Any, into: Any) -> None:
    (out if out.shape == into.shape else out.reshape(new_shape=into.shape)).connect(into)
