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


class Source(AbstractProcess):
    """Sends one array a step, all GOPs one after the other, and zeros before and after.

    Args:
        path: file of values [G, T, *shape].
        shape: shape of one step in the file.
        delay: number of steps before the first value.
        transposed: send (W, H, C), as Lava's Conv wants it, instead of (C, H, W).
    """

    def __init__(self, path: Path, shape: tuple[int, ...], delay: int = 0, transposed: bool = False) -> None:
        super().__init__(path=path, delay=delay, transposed=transposed)
        self.s_out = OutPort(shape=shape[::-1] if transposed else shape)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySourceModel(PyLoihiProcessModel):
    """Process model of Source."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        values = np.load(proc_params["path"], mmap_mode="r", allow_pickle=False)
        self.values = values.reshape(-1, *values.shape[2:])
        self.zeros = np.zeros(self.values.shape[1:], np.int32)
        self.delay, self.transposed = proc_params["delay"], proc_params["transposed"]

    def run_spk(self) -> None:
        """Send the values of this step; the time step counts from 1."""
        at = self.time_step - 1 - self.delay
        values = self.values[at] if 0 <= at < len(self.values) else self.zeros
        self.s_out.send(values.T if self.transposed else values)
