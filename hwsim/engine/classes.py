"""Counting on a CPU: firing neurons by class of rows first, which costs one vector instruction, then by atom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwsim.engine.events import padded
from hwsim.engine.kernels import Tally
from hwsim.engine.tallies import take_classes
from hwsim.mapping.fanout import Fanout
from hwsim.mapping.geometry import Shape3
from snn_export.network import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """How some rows of a population are counted by the atoms of its fan-out.

    Attributes:
        row_class: class of each row of the population, numbered within these rows [rows].
        present: the fan-out's number of each of these classes.
        columns: class of each column [columns].
        atoms: row classes, column classes, channels of the fan-out; their product are its atoms.
        padded: values from one row to the next.
    """

    row_class: IntArray
    present: IntArray
    columns: IntArray
    atoms: tuple[int, int, int]
    padded: int

    def zeros(self, steps: int) -> IntArray:
        """No counts yet, [steps, classes of rows, row]: small integers, which still hold a count of all rows."""
        kind = np.int16 if self.row_class.size < 2**15 else np.int32
        return np.zeros((steps, self.present.size, self.padded), kind)

    def take(self, counts: IntArray, found: IntArray) -> None:
        """Add what was counted into `zeros`, and leave that at 0, to the atoms [steps, atoms]."""
        rows, columns, channels = self.atoms
        shaped = found.reshape(len(found), rows, columns * channels)
        take_classes(counts, self.columns, channels, self.present, shaped)


def classes_of(fan: Fanout, shape: Shape3, first: int, last: int) -> Classes:
    """Count rows `first` to `last` of a population of this shape."""
    present, local = np.unique(fan.rows[first:last], return_inverse=True)
    row_class = np.zeros(shape[1], np.int64)
    row_class[first:last] = local.reshape(-1)
    return Classes(row_class, present, fan.columns, fan.atoms, padded(shape))


def uncounted(rows: int) -> Tally:
    """Where nobody counts."""
    nothing = np.zeros((0, 1, 0), np.int16)
    return Tally(nothing, nothing, np.zeros(rows, np.int64))
