"""Run a network exactly, step by step, all GOPs of a batch at once.

Only the state of one step is held, so that it stays in the cache; what is recorded and counted goes out after
each layer. Batches of GOPs are sized so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass

import numpy as np
import torch

from hwsim.engine.counts import Counter, Counts, join
from hwsim.engine.neuron import Population
from hwsim.engine.synapse import SynapseOp, exact_arithmetic, total
from hwsim.engine.tape import Ledger, Meter, Record, Tape
from hwsim.mapping.geometry import shape3
from hwsim.mapping.model import Mapping
from snn_export.network import (
    IntArray,
    Recording,
    SpikingNetwork,
    accumulator_interval,
    check_inputs,
    source_intervals,
)

_BATCH_VALUES = 2**25
"""Values of all ports and layers over all steps in one batch of GOPs, unless one GOP has more."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What a run gives.

    Attributes:
        recording: spikes and potentials; with `record="readout"` only the potentials of read-out layers.
        counts: what every core did; None without a mapping.
        wraps: layer name to the number of synaptic currents that left 24 bits, over all steps and GOPs. The
            contract carries on exactly; a chip's 24-bit adder would wrap. What enters, a << 6, is proven to fit.
    """

    recording: Recording
    counts: Counts | None
    wraps: MappingType[str, int]


def run(
    network: SpikingNetwork,
    inputs: MappingType[str, IntArray],
    mapping: Mapping | None = None,
    device: str = "cpu",
    record: Record = "all",
) -> Result:
    """Run every GOP from zero state; see `Engine` for many runs of one network.

    Args:
        network: the graph to run.
        inputs: port name to integers [G, T, *shape].
        mapping: where the neurons are; given, the run is counted.
        device: a torch device.
        record: everything, or the potentials of read-out layers only.

    Raises:
        NetworkError: for a float network, or where an input does not fit its port.
        MappingError: where the mapping is not of this network.
    """
    return Engine(network, mapping, device).run(inputs, record)


class Engine:
    """A network made ready to run many times.

    Args:
        network: the graph to run.
        mapping: where the neurons are; given, runs are counted.
        device: a torch device.

    Raises:
        NetworkError: for a float network.
        MappingError: where the mapping is not of this network.
    """

    def __init__(self, network: SpikingNetwork, mapping: Mapping | None = None, device: str = "cpu") -> None:
        network.require_fixed("the simulator")
        self._network, self._device = network, torch.device(device)
        self._meter = None if mapping is None else Meter(Counter(network, mapping), self._device)
        self._active = mapping is not None and mapping.counts_active
        shapes, layers = network.shapes, network.layers
        self._ops = {x.name: [SynapseOp(c, shapes[c.source], self._device) for c in x.connections] for x in layers}
        self._event_ops = {
            x.name: [SynapseOp(c, shapes[c.source], self._device, mask=True) for c in x.connections]
            for x in (layers if self._active else ())
        }
        intervals = source_intervals(network)
        self._peaks = {x.name: max(map(abs, accumulator_interval(x, intervals))) for x in layers}

    def run(self, inputs: MappingType[str, IntArray], record: Record = "all") -> Result:
        """Run every GOP from zero state.

        Args:
            inputs: port name to integers [G, T, *shape].
            record: everything, or the potentials of read-out layers only.

        Raises:
            NetworkError: where an input does not fit its port.
        """
        gops, steps = check_inputs(self._network, inputs)
        values = sum(int(np.prod(shape)) for shape in self._network.shapes.values()) * steps
        size = max(1, _BATCH_VALUES // values)
        with exact_arithmetic():
            batches = [
                self._batch({name: x[g : g + size] for name, x in inputs.items()}, record) for g in range(0, gops, size)
            ]
        return batches[0] if len(batches) == 1 else _join(batches)

    def _batch(self, inputs: MappingType[str, IntArray], record: Record) -> Result:
        network, (gops, steps) = self._network, next(iter(inputs.values())).shape[:2]
        populations = {x.name: Population(x, gops, self._peaks[x.name], self._device) for x in network.layers}
        tape = Tape(network, gops, steps, record)
        ledger = Ledger(self._meter, gops, steps) if self._meter else None
        for t in range(steps):
            values = {port.name: _load(inputs[port.name][:, t], self._device) for port in network.inputs}
            if ledger:
                ledger.inputs(t, values)
            for layer in network.layers:
                population = populations[layer.name]
                if t and layer.neuron.clears_before(t):
                    population.clear()
                if ledger and self._active:
                    ledger.active(t, layer.name, population.stirred(), self._event_ops[layer.name])
                population.step(total(self._ops[layer.name], values))
                values[layer.name] = population.fired
                tape.write(t, layer, population)
                if ledger:
                    ledger.fired(t, layer, population.fired)
        saturations = {name: population.saturations for name, population in populations.items()}
        wraps = {name: population.wraps for name, population in populations.items()}
        return Result(tape.recording(saturations), ledger.counts() if ledger else None, wraps)


def _load(array: IntArray, device: torch.device) -> torch.Tensor:
    """Integers [G, C, H, W] or [G, N] as float32 [G, H, W, C]."""
    shaped = array.reshape(len(array), *shape3(array.shape[1:]))
    return torch.from_numpy(np.ascontiguousarray(shaped.transpose(0, 2, 3, 1), np.float32)).to(device)


def _join(batches: list[Result]) -> Result:
    recordings = [batch.recording for batch in batches]
    first = recordings[0]
    recording = Recording(
        {name: np.concatenate([r.spikes[name] for r in recordings]) for name in first.spikes},
        {name: np.concatenate([r.potentials[name] for r in recordings]) for name in first.potentials},
        {name: sum(r.saturations[name] for r in recordings) for name in first.saturations},
    )
    counts = [batch.counts for batch in batches if batch.counts is not None]
    wraps = {name: sum(batch.wraps[name] for batch in batches) for name in batches[0].wraps}
    return Result(recording, join(counts) if counts else None, wraps)
