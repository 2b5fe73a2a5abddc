"""One record of a netx file, with typed access and errors that name the place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from snn_export.hdf5 import Tree
from snn_export.network import IntArray, NetworkError

FIX = "export the network from lava-dl again"


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A group of the file.

    Attributes:
        tree: its contents.
        where: file and place, for errors.
    """

    tree: Tree
    where: str

    def __contains__(self, name: str) -> bool:
        return name in self.tree

    def error(self, name: str, what: str, fix: str = FIX) -> NetworkError:
        """The error for a field of this record."""
        return NetworkError(f"{self.where}/{name}" if name else self.where, what, fix)

    def record(self, name: str) -> Record:
        """A group inside this one."""
        tree = self.tree.get(name)
        if not isinstance(tree, dict):
            raise self.error(name, "the group is missing", "give a netx file, as lava-dl's export_hdf5 makes them")
        return Record(tree, f"{self.where}/{name}")

    def text(self, name: str) -> str:
        """One word."""
        value: Any = self.tree.get(name)
        if isinstance(value, np.ndarray) and value.dtype == object and value.size:
            value = value.ravel()[0]
        if not isinstance(value, str):
            raise self.error(name, "a text is missing here")
        return value

    def integers(self, name: str) -> IntArray:
        """Numbers, cut to integers as netx does, int64 of any shape."""
        value = self.tree.get(name)
        if value is None or isinstance(value, (dict, str)) or np.asarray(value).dtype == object:
            raise self.error(name, "numbers are missing here")
        array = np.asarray(value)
        if array.size == 0 or not np.isfinite(array).all() or np.abs(array.astype(np.float64)).max() >= 2**31:
            raise self.error(name, f"values of shape {array.shape} are empty, not finite, or past 32 bits")
        return array.astype(np.int64)

    def integer(self, name: str, default: int | None = None) -> int:
        """One number, where an array may hold it as often as it likes."""
        if default is not None and name not in self:
            return default
        values = np.unique(self.integers(name))
        if values.size > 1:
            raise self.error(name, f"{values.size} different values where there can be one", "use one for the layer")
        return int(values[0])

    def pair(self, name: str) -> tuple[int, int]:
        """Rows and columns; one number stands for both."""
        values = self.integers(name).ravel()
        if values.size not in (1, 2):
            raise self.error(name, f"{values.size} numbers where one or two belong")
        return int(values[0]), int(values[-1])
