"""What the tracer has to know of a kind of cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from hybrid.graph.synapses import Step
from snn_export.network import LIF, IntArray, Layer, NetworkError
from snn_export.nir.graph import Node
from snn_export.nir.neurons import per_channel

Role: TypeAlias = Literal["spikes", "potential"]
"""What of a population is used: its spikes, or its membrane potential."""


class Layout(Enum):
    """How a cell takes time: one step a call, or a whole sequence with axes in this order."""

    STEP = "step"
    TIME_FIRST = "time, batch, ..."
    BATCH_FIRST = "batch, time, ..."
    TIME_LAST = "batch, ..., time"

    @property
    def axes(self) -> tuple[int, int]:
        """Batch axis and time axis of a sequence."""
        return {"time, batch, ...": (1, 0), "batch, time, ...": (0, 1), "batch, ..., time": (0, -1)}[self.value]


class Refused(Exception):
    """Why a cell, or what feeds it, cannot be said in the contract."""


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """The law of a cell in the constants of the float contract.

    Attributes:
        lif: keep, threshold, reset, current memory and bias.
        gain: what multiplies the input, [1] or [channels].
    """

    lif: LIF
    gain: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of cell.

    Attributes:
        name: of the class.
        layout: how it takes time.
        emits: what its first result is.
        law: for a cell, the shape of its population and what of it is used, its law; raises `Refused`.
        potential: index of the result that is the membrane potential, where there is one.
        reset: sets the state that a cell keeps to zero.
        hidden: the state that a cell keeps in itself between calls, or None.
        synapse: the synapses inside the cell, where it has its own.
        layer: for a cell, the name of its layer, and name and shape of its source, the layer of integers that it
            computes with; for a cell that is quantised already, in place of a law.
        late: whether a cell hands its results on one step late.
    """

    name: str
    layout: Layout
    emits: Role
    law: Callable[[Any, tuple[int, ...], Role], Law]
    layer: Callable[[Any, str, str, tuple[int, ...]], Layer] | None = None
    late: Callable[[Any], bool] = lambda cell: False
    potential: int | None = None
    reset: Callable[[Any], None] = lambda cell: None
    hidden: Callable[[Any], Any] = lambda cell: None
    synapse: Callable[[Any], Step] | None = None


def constant(cell: nn.Module, name: str, value: Any, shape: tuple[int, ...]) -> IntArray:
    """A parameter of a cell as one float64 number or one per channel.

    Raises:
        Refused: where it differs within a channel, or is not finite.
    """
    numbers = torch.as_tensor(value).detach().cpu().double().numpy()
    if not np.isfinite(numbers).all():
        raise Refused(f"its {name} is not finite")
    node = Node(name, type(cell).__name__, {}, name, ())
    try:
        return per_channel(node, np.atleast_1d(numbers), shape, name)
    except NetworkError as error:
        raise Refused(error.what) from error


def check_strict(spike: Callable[[Tensor], Tensor]) -> None:
    """Refuse a spike function that is not a strict threshold at 0, by what it gives around it.

    Raises:
        Refused: where it gives anything but 0 up to 0, and 1 above.
    """
    with torch.no_grad():
        given = spike(torch.tensor([-1.0, -1e-6, 0.0, 1e-6, 1.0]))
    if given.tolist() != [0.0, 0.0, 0.0, 1.0, 1.0]:
        raise Refused("its spike function is not a strict threshold")


def share(cell: nn.Module, name: str, value: Any, shape: tuple[int, ...]) -> IntArray:
    """A parameter that is a share per step, 0 to 1.

    Raises:
        Refused: where it leaves that range: the step is longer than the time constant.
    """
    found = constant(cell, name, value, shape)
    if found.min() < 0 or found.max() > 1:
        raise Refused(f"its {name} is {found.min():g} to {found.max():g} a step, and the contract takes 0 to 1")
    return found
