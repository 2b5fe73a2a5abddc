"""Probe: records spikes and potentials of a stock LIF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_export.lava.tape import Recorder


class Probe(AbstractProcess):
    """Writes both quantities straight to disk: `Var.get` sends them element by element, 70 us each.

    Args:
        folder: the folder of the runtime.
        layer: index of the layer.
        shape: shape of the population in Lava, (W, H, C) or (N,).
        length: Lava steps per GOP.
        delay: the layer integrates step t of its input at Lava step t + delay.
    """

    def __init__(self, folder: Path, layer: int, shape: tuple[int, ...], length: int, delay: int) -> None:
        super().__init__(folder=folder, layer=layer, length=length, delay=delay)
        self.s_in = InPort(shape=shape)
        self.v = RefPort(shape=shape)
        self.done = OutPort(shape=(1,))


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyProbeModel(PyLoihiProcessModel):
    """Process model of Probe for integers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    done: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.recorder = Recorder(*(proc_params[name] for name in ("folder", "length", "delay", "layer")))
        self.token = np.ones(1, np.int32)

    def run_spk(self) -> None:
        """Record the spikes of this step."""
        self.recorder.spikes(self.recorder.turn(self.time_step), self.s_in.recv().T)
        self.done.send(self.token)

    def post_guard(self) -> bool:
        """Ask for the management phase, in which a RefPort may read."""
        return True

    def run_post_mgmt(self) -> None:
        """Record the potentials after this step's reset."""
        self.recorder.potentials(self.recorder.turn(self.time_step), self.v.read().T)


@implements(proc=Probe, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PyProbeModelFloat(PyProbeModel):
    """Process model of Probe for real numbers."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.float64)
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.float64)
