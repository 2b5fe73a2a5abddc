"""ConvLIF: synapses and neurons of one layer in one process, and Synapse for its further connections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_export import network
from snn_export.lava.kernels import accumulate
from snn_export.lava.population import FixedPopulation, Population
from snn_export.lava.tape import Recorder


class ConvLIF(AbstractProcess):
    """One layer of the contract, without a step of delay, recording its own state.

    Args:
        layer: the layer; its first connection feeds `s_in`, the others arrive summed up on `a_in`.
        shape: shape of the first connection's source.
        steps: steps per GOP, after which all state returns to 0.
        folder: the folder of the runtime.
        index: index of the layer in the network.
    """

    def __init__(self, layer: network.Layer, shape: tuple[int, ...], steps: int, folder: Path, index: int) -> None:
        super().__init__(layer=layer, shape=shape, steps=steps, folder=folder, index=index)
        self.s_in = InPort(shape=shape)
        self.a_in = InPort(shape=layer.shape)
        self.s_out = OutPort(shape=layer.shape)
        self.done = OutPort(shape=(1,))


@implements(proc=ConvLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyConvLIFModel(PyLoihiProcessModel):
    """Process model of ConvLIF in integers."""

    number: type[np.floating[Any]] = np.float32
    kind: type[Population] = FixedPopulation

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.uint8)
    done: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        layer = proc_params["layer"]
        self.accumulate = accumulate(layer.connections[0].synapse, proc_params["shape"], self.number)
        self.steps = proc_params["steps"]
        self.joined = len(layer.connections) > 1
        self.neuron, self.population = layer.neuron, self.kind(layer)
        self.recorder = Recorder(proc_params["folder"], self.steps, 0, proc_params["index"])
        self.token = np.ones(1, np.int32)

    def run_spk(self) -> None:
        """Integrate one step; record after sending, while the next layer is already at work."""
        at = self.recorder.turn(self.time_step)
        if at == 0:
            self.population.saturations = 0
        if self.neuron.clears_before(at % self.steps):
            self.population.clear()
        a = self.accumulate(self.s_in.recv())
        if self.joined:
            a = a + self.a_in.recv()
        spikes = self.population.step(a)
        self.s_out.send(spikes)
        self.recorder.spikes(at, spikes)
        self.recorder.potentials(at, self.population.v)
        self.recorder.saturations(self.population.saturations)
        self.done.send(self.token)


@implements(proc=ConvLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyConvLIFModelFloat(PyConvLIFModel):
    """Process model of ConvLIF in real numbers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)

    number = np.float64
    kind = Population


class Synapse(AbstractProcess):
    """The accumulator of one connection, without a step of delay.

    Args:
        synapse: weights and pattern.
        shape: shape of the source.
    """

    def __init__(self, synapse: network.Synapse, shape: tuple[int, ...]) -> None:
        super().__init__(synapse=synapse, shape=shape)
        self.s_in = InPort(shape=shape)
        self.a_out = OutPort(shape=synapse.output_shape(shape))


@implements(proc=Synapse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySynapseModel(PyLoihiProcessModel):
    """Process model of Synapse in integers."""

    number: type[np.floating[Any]] = np.float32

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.uint8)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.accumulate = accumulate(proc_params["synapse"], proc_params["shape"], self.number)

    def run_spk(self) -> None:
        """Send this step's accumulator."""
        self.a_out.send(self.accumulate(self.s_in.recv()))


@implements(proc=Synapse, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PySynapseModelFloat(PySynapseModel):
    """Process model of Synapse in real numbers."""

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)

    number = np.float64
