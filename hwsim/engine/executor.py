"""Run a network exactly, all GOPs of a batch at once, on a CPU or a GPU, and count what every core does."""

from __future__ import annotations

from collections.abc import Mapping as MappingType

import numpy as np
import torch

from hwsim.engine.counter import Counter
from hwsim.engine.cpu import CpuExecutor
from hwsim.engine.gpu import GpuExecutor
from hwsim.engine.result import Record, Result, join_results
from hwsim.mapping.model import Mapping
from snn_export.network import IntArray, SpikingNetwork, check_inputs

_BATCH_VALUES = 2**25
"""Values of all ports and layers over all steps in one batch of GOPs, unless one GOP has more."""


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
        counter = None if mapping is None else Counter(network, mapping)
        active = mapping is not None and mapping.counts_active
        self._network = network
        self._executor = (
            CpuExecutor(network, counter, active)
            if torch.device(device).type == "cpu"
            else GpuExecutor(network, counter, active, torch.device(device))
        )

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
        batches = [
            self._executor.run({name: x[g : g + size] for name, x in inputs.items()}, record)
            for g in range(0, gops, size)
        ]
        return join_results(batches)
