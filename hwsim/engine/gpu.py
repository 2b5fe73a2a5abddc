"""Run a network exactly in torch, step by step: what a GPU is good at.

Only the state of one step is held; what is recorded and counted goes out after each layer.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType

import numpy as np
import torch

from hwsim.engine.counter import Counter
from hwsim.engine.neuron import Neurons
from hwsim.engine.result import Record, Result
from hwsim.engine.synapse import SynapseOp, exact_arithmetic, total
from hwsim.engine.tape import Ledger, Meter, Tape
from hwsim.mapping.geometry import shape3
from snn_export.network import IntArray, SpikingNetwork, accumulator_interval, source_intervals


class GpuExecutor:
    """A network made ready to run many times.

    Args:
        network: the graph to run.
        counter: given, runs are counted.
        counts_active: count active neurons as well.
        device: where to run; a CPU will do.
    """

    def __init__(
        self, network: SpikingNetwork, counter: Counter | None, counts_active: bool, device: torch.device
    ) -> None:
        self._network, self._device, self._active = network, device, counts_active
        self._meter = None if counter is None else Meter(counter, device)
        shapes, layers = network.shapes, network.layers
        self._ops = {x.name: [SynapseOp(c, shapes[c.source], device) for c in x.connections] for x in layers}
        self._event_ops = {
            x.name: [SynapseOp(c, shapes[c.source], device, mask=True) for c in x.connections]
            for x in (layers if counts_active else ())
        }
        intervals = source_intervals(network)
        self._peaks = {x.name: max(map(abs, accumulator_interval(x, intervals))) for x in layers}

    @exact_arithmetic()
    def run(self, inputs: MappingType[str, IntArray], record: Record) -> Result:
        """Run every GOP from zero state, inputs being integers [G, T, *shape] by port."""
        network, (gops, steps) = self._network, next(iter(inputs.values())).shape[:2]
        populations = {x.name: Neurons(x, gops, self._peaks[x.name], self._device) for x in network.layers}
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
