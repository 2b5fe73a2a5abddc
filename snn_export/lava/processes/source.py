"""Source: feeds recorded values into a Lava graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from snn_export.lava.tape import Player


class Source(AbstractProcess):
    """Sends one array a step, all GOPs of a run one after the other, and zeros before and after.

    Args:
        folder: the folder of the runtime.
        port: index of the port.
        shape: shape of the port.
        length: Lava steps per GOP.
        delay: number of steps before the first value.
        transposed: send (W, H, C), as Lava's Conv wants it, instead of (C, H, W).
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        shape: tuple[int, ...],
        length: int,
        delay: int = 0,
        transposed: bool = False,
    ) -> None:
        super().__init__(folder=folder, port=port, length=length, delay=delay, transposed=transposed)
        self.s_out = OutPort(shape=shape[::-1] if transposed else shape)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySourceModel(PyLoihiProcessModel):
    """Process model of Source for integers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.player = Player(*(proc_params[name] for name in ("folder", "length", "delay", "port")))
        self.transposed = proc_params["transposed"]

    def run_spk(self) -> None:
        """Send the values of this step."""
        values = self.player.values(self.time_step)
        self.s_out.send(values.T if self.transposed else values)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PySourceModelFloat(PySourceModel):
    """Process model of Source for real numbers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
