"""Clock: ties all recorders together and tells how far they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_export.lava import job


class Clock(AbstractProcess):
    """Receives one token a step from every recorder, then writes the time step down.

    Lava compiles only what is connected: the clock also makes one graph of networks with separate streams.

    Args:
        folder: the folder of the runtime.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder=folder)
        self.done = InPort(shape=(1,))


@implements(proc=Clock, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt", "floating_pt")
class PyClockModel(PyLoihiProcessModel):
    """Process model of Clock."""

    done: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.state = job.reopen(proc_params["folder"] / job.STATE)

    def run_spk(self) -> None:
        """Wait for every recorder, then publish the step."""
        self.done.recv()
        self.state[job.DONE] = max(0, self.time_step - self.state[job.BASE])
