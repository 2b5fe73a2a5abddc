"""How a process of the graph gets at the files of the run at hand, which change under it from run to run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from snn_export.lava import job
from snn_export.network import IntArray


class Tape(ABC):
    """Finds the current run and the place in it of each Lava step.

    Args:
        folder: the folder of the runtime.
        length: Lava steps per GOP; those that are more than the GOP has are idle.
        delay: the process is that many steps behind the first.
    """

    def __init__(self, folder: Path, length: int, delay: int) -> None:
        self._folder, self._length, self._delay = folder, length, delay
        self._state = job.reopen(folder / job.STATE)
        self._number = 0

    def turn(self, time_step: int) -> int:
        """The step, from 0, of the current run that a Lava time step, from 1, stands for; opens its files."""
        if self._state[job.REQUESTED] != self._number:
            self._number = int(self._state[job.REQUESTED])
            self._open(job.run_path(self._folder, self._number))
        return time_step - 1 - int(self._state[job.BASE]) - self._delay

    @abstractmethod
    def _open(self, run: Path) -> None:
        """Open the files of a run."""

    def _place(self, at: int, values: IntArray) -> tuple[int, int] | None:
        """GOP and step in `values` [G, T, ...] of a step of the run; None where it is idle or outside."""
        gop, step = divmod(at, self._length)
        return (gop, step) if 0 <= gop < values.shape[0] and step < values.shape[1] else None


class Player(Tape):
    """Reads the values of one port, step by step.

    Args:
        port: index of the port.
    """

    def __init__(self, folder: Path, length: int, delay: int, port: int) -> None:
        super().__init__(folder, length, delay)
        self._port = port

    def _open(self, run: Path) -> None:
        self._values: IntArray = np.load(job.input_path(run, self._port), mmap_mode="r", allow_pickle=False)
        self._zeros = np.zeros(self._values.shape[2:], self._values.dtype)

    def values(self, time_step: int) -> IntArray:
        """The values [*shape] of a Lava time step; zeros outside the run."""
        place = self._place(self.turn(time_step), self._values)
        return self._zeros if place is None else self._values[place]


class Recorder(Tape):
    """Writes the state of one layer, step by step, into the files reserved for it; other steps are dropped.

    Args:
        layer: index of the layer.
    """

    def __init__(self, folder: Path, length: int, delay: int, layer: int) -> None:
        super().__init__(folder, length, delay)
        self._layer = layer

    def _open(self, run: Path) -> None:
        self._spikes = job.reopen(job.spikes_path(run, self._layer))
        self._potentials = job.reopen(job.potentials_path(run, self._layer))
        self._saturations = job.reopen(run / job.SATURATIONS)

    def spikes(self, at: int, values: IntArray) -> None:
        """Record spikes [*shape] at a step that `turn` gave."""
        place = self._place(at, self._spikes)
        if place is not None:
            self._spikes[place] = values

    def potentials(self, at: int, values: IntArray) -> None:
        """Record potentials [*shape] at a step that `turn` gave."""
        place = self._place(at, self._potentials)
        if place is not None:
            self._potentials[place] = values

    def saturations(self, count: int) -> None:
        """Record how many potentials were clipped in the run so far."""
        self._saturations[self._layer] = count
