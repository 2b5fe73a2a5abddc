"""What a run writes down while it goes: states for the recording, firing counts for the counter."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence

import torch

from hwsim.engine.atoms import AtomSum
from hwsim.engine.counter import Counter
from hwsim.engine.counts import Counts
from hwsim.engine.neuron import Neurons
from hwsim.engine.result import Record
from hwsim.engine.synapse import SynapseOp, total
from hwsim.mapping.geometry import shape3
from snn_export.network import IntArray, Layer, Recording, SpikingNetwork


class Tape:
    """Spikes and potentials of a batch, in main memory.

    Args:
        network: the network that runs.
        gops: GOPs in the batch.
        steps: steps per GOP.
        record: everything, or the potentials of read-out layers only.
    """

    def __init__(self, network: SpikingNetwork, gops: int, steps: int, record: Record) -> None:
        kept = [x for x in network.layers if record == "all" or x.neuron.readout]
        shapes = {x.name: (gops, steps, *shape3(x.shape)) for x in kept}
        self._network = network
        self._potentials = {name: torch.empty(shape, dtype=torch.int32) for name, shape in shapes.items()}
        self._spikes = {
            name: torch.empty(shape, dtype=torch.uint8) for name, shape in shapes.items() if record == "all"
        }

    def write(self, t: int, layer: Layer, population: Neurons) -> None:
        """Keep the state of a layer after step t."""
        if layer.name in self._potentials:
            self._potentials[layer.name][:, t] = population.v.permute(0, 3, 1, 2)
        if layer.name in self._spikes:
            self._spikes[layer.name][:, t] = population.fired.permute(0, 3, 1, 2)

    def recording(self, saturations: MappingType[str, int]) -> Recording:
        """What was written, as arrays [G, T, *shape]."""

        def arrays(tensors: MappingType[str, torch.Tensor]) -> dict[str, IntArray]:
            shapes = {name: (*x.shape[:2], *self._network.shapes[name]) for name, x in tensors.items()}
            return {name: x.numpy().reshape(shapes[name]) for name, x in tensors.items()}

        return Recording(arrays(self._spikes), arrays(self._potentials), saturations)


class Meter:
    """Sums firing and active neurons over atoms, on the device, for as many runs as wanted.

    Args:
        counter: names the atoms.
        device: where the network runs.
    """

    def __init__(self, counter: Counter, device: torch.device) -> None:
        self.counter, self.device = counter, device
        self.sums = {name: AtomSum(fan, device) for name, fan in counter.fanouts.items()}


class Ledger:
    """Firing and active neurons of every atom in a batch.

    Args:
        meter: sums over atoms.
        gops: GOPs in the batch.
        steps: steps per GOP.
    """

    def __init__(self, meter: Meter, gops: int, steps: int) -> None:
        self._meter, self._shape = meter, (gops, steps)
        self._fired = {name: self._zeros(name) for name in meter.sums}
        self._active: dict[str, torch.Tensor] = {}
        self._events: dict[str, torch.Tensor] = {}

    def _zeros(self, name: str) -> torch.Tensor:
        atoms = self._meter.counter.fanouts[name].owner.size
        return torch.zeros((*self._shape, atoms), dtype=torch.float32, device=self._meter.device)

    def inputs(self, t: int, values: MappingType[str, torch.Tensor]) -> None:
        """Count the nonzero values [G, H, W, C] of every port at step t."""
        self._events = {name: (x != 0).float() for name, x in values.items()}
        for name, x in self._events.items():
            self._fired[name][:, t] = self._meter.sums[name](x)

    def active(self, t: int, name: str, stirred: torch.Tensor, ops: Sequence[SynapseOp]) -> None:
        """Count the neurons of a layer that are `stirred` by state or bias, or get an event at step t."""
        neurons = stirred.logical_or_(total(ops, self._events) != 0).float()
        if name not in self._active:
            self._active[name] = self._zeros(name)
        self._active[name][:, t] = self._meter.sums[name](neurons)

    def fired(self, t: int, layer: Layer, spikes: torch.Tensor) -> None:
        """Count the spikes [G, H, W, C] of a layer at step t."""
        self._events[layer.name] = spikes
        if not layer.neuron.readout:
            self._fired[layer.name][:, t] = self._meter.sums[layer.name](spikes)

    def counts(self) -> Counts:
        """What every core did."""
        return self._meter.counter.count(_numpy(self._fired), _numpy(self._active) if self._active else None)


def _numpy(tensors: MappingType[str, torch.Tensor]) -> dict[str, IntArray]:
    return {name: x.cpu().numpy() for name, x in tensors.items()}
