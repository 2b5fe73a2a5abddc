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

from snn_export.lava.job import step_of


class Source(AbstractProcess):
    """Sends one array a step, all GOPs one after the other, and zeros before and after.

    Args:
        path: file of values [G, T, *shape].
        shape: shape of one step in the file.
        length: steps per GOP; zeros follow where it is more than the file has.
        delay: number of steps before the first value.
        transposed: send (W, H, C), as Lava's Conv wants it, instead of (C, H, W).
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], length: int, delay: int = 0, transposed: bool = False
    ) -> None:
        super().__init__(path=path, length=length, delay=delay, transposed=transposed)
        self.s_out = OutPort(shape=shape[::-1] if transposed else shape)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySourceModel(PyLoihiProcessModel):
    """Process model of Source for integers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.values = np.load(proc_params["path"], mmap_mode="r", allow_pickle=False)
        self.zeros = np.zeros(self.values.shape[2:], np.int32)
        self.length, self.delay = proc_params["length"], proc_params["delay"]
        self.transposed = proc_params["transposed"]

    def run_spk(self) -> None:
        """Send the values of this step; the time step counts from 1."""
        place = step_of(self.time_step - 1 - self.delay, self.length, self.values)
        values = self.zeros if place is None else self.values[place]
        self.s_out.send(values.T if self.transposed else values)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class PySourceModelFloat(PySourceModel):
    """Process model of Source for real numbers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.float64)
