"""Count neurons per atom on the device: two products with one-hot class matrices."""

from __future__ import annotations

import numpy as np
import torch

from hwsim.mapping.fanout import Fanout
from snn_export.network import IntArray


class AtomSum:
    """Sums 0/1 values float32 [G, H, W, C] over the atoms of a fan-out.

    Exact: a sum is at most the number of places of a map, far below 2^24.
    """

    def __init__(self, fanout: Fanout, device: torch.device) -> None:
        self._atoms = fanout.atoms
        self._rows, self._columns = (_one_hot(x, device) for x in (fanout.rows, fanout.columns))

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """The sums, float32 [G, atoms]."""
        # the summed axis goes first each time: one large product instead of many small ones
        x = values.permute(1, 2, 0, 3)
        if self._rows is not None:
            x = _product(self._rows, x)
        x = x.transpose(0, 1)
        if self._columns is not None:
            x = _product(self._columns, x)
        return x.permute(2, 1, 0, 3).reshape(len(values), -1)


def _product(hot: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Float32 [classes, places] times [places, ...]."""
    return (hot @ values.reshape(len(values), -1)).view(len(hot), *values.shape[1:])


def _one_hot(classes: IntArray, device: torch.device) -> torch.Tensor | None:
    """Float32 [classes, places], or None where every place is its own class, in order."""
    if np.array_equal(classes, np.arange(classes.size)):
        return None
    hot = np.arange(int(classes.max()) + 1)[:, None] == classes[None, :]
    return torch.from_numpy(hot.astype(np.float32)).to(device)
