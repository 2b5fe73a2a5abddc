"""Input values as neurons of SANA-FE that enter where they are needed: one copy per value and target tile."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwsim.sanafe.architecture import HOST_SOMA, NEURONS
from snn_export.network import IntArray


class Host:
    """The copies of all ports.

    Args:
        tiles: tiles of the mesh.
        cores_per_tile: cores of the chip on a tile; those of the host come after them.
        wires: per port, the input value and the target tile of every synapse from it, int64 [S] each.
    """

    def __init__(
        self, tiles: int, cores_per_tile: int, wires: MappingType[str, Sequence[tuple[IntArray, IntArray]]]
    ) -> None:
        self._tiles, self._first = tiles, cores_per_tile
        self._copies = {
            name: np.unique(np.concatenate([value * tiles + tile for value, tile in parts]))
            for name, parts in wires.items()
        }
        self.counts = np.zeros(tiles, np.int64)
        self._places = {}
        for name, copies in self._copies.items():
            tile = copies % tiles
            place = np.zeros(copies.size, np.int64)
            for t in np.unique(tile):
                own = tile == t
                place[own] = self.counts[t] + np.arange(own.sum())
                self.counts[t] += own.sum()
            self._places[name] = place

    def copy(self, port: str, value: IntArray, tile: IntArray) -> IntArray:
        """The number of the copy of an input value at a tile."""
        return np.asarray(np.searchsorted(self._copies[port], value * self._tiles + tile))

    def inputs(self, values: MappingType[str, IntArray]) -> list[dict[str, Any]]:
        """One group of input neurons per port, with their spike trains, from values [T, N]: 1 where not zero."""
        found = []
        for name, copies in self._copies.items():
            place = self._places[name]
            trains = (values[name][:, copies // self._tiles] != 0).T.astype(int)
            found.append(
                {
                    "name": name,
                    "tile": (copies % self._tiles).tolist(),
                    "core": (self._first + place // NEURONS).tolist(),
                    "soma": [f"{HOST_SOMA}[{n}]" for n in (place % NEURONS).tolist()],
                    "spikes": trains.tolist(),
                }
            )
        return found
