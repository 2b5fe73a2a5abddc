"""snnTorch: ``mem' = beta mem + x``, a spike where ``mem' > threshold``, and a reset that by default comes a step late.

A late reset to zero (`Leaky`) is that of the contract, since the leak of nothing is nothing. A late subtraction
takes the threshold away *after* the leak, the contract before it: the two are the same only where nothing leaks
(beta = 1) or nothing resets.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hybrid.graph.cells.kind import Kind, Law, Layout, Refused, Role, check_strict, constant
from snn_export.network import LIF, IntArray, Reset

SUBTRACTS = (
    "its reset subtracts the threshold a step late, after the leak (beta = {beta:g}), and the contract before it; "
    "use reset_mechanism='zero'"
)


def leaky(cell: Any, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, with reset "zero" or "none", or "subtract" where beta is 1; its potential with reset "none"."""
    return _law(cell, shape, role, 0.0)


def synaptic(cell: Any, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, with reset "zero" and reset_delay=False, "none", or "subtract" where beta is 1; as Leaky."""
    alpha = constant(cell, "alpha", cell.alpha.clamp(0, 1), shape)
    if alpha.size > 1:
        raise Refused("its alpha differs between channels")
    if _mechanism(cell) == "zero" and cell.reset_delay:
        raise Refused("its late reset also drops the input of the step after a spike; use reset_delay=False")
    return _law(cell, shape, role, float(alpha[0]))


def _law(cell: Any, shape: tuple[int, ...], role: Role, ukeep: float) -> Law:
    _check_options(cell)
    beta = constant(cell, "beta", cell.beta.clamp(0, 1), shape)
    vth = constant(cell, "threshold", cell.threshold, shape)
    mechanism = _mechanism(cell)
    if role == "potential":
        if mechanism != "none":
            raise Refused("its potential is used, and a spike resets it; use reset_mechanism='none' for a read-out")
        return Law(LIF(beta, np.zeros(1), Reset.NONE, True, ukeep, np.zeros(1)), np.ones(1))
    if (vth < 0).any():
        raise Refused("its threshold is below 0")
    return Law(LIF(beta, vth, _reset(cell, mechanism, beta), False, ukeep, np.zeros(1)), np.ones(1))


def _reset(cell: Any, mechanism: str, beta: IntArray) -> Reset:
    if mechanism == "zero":
        return Reset.ZERO
    if mechanism == "none":
        return Reset.NONE
    if not cell.reset_delay:
        raise Refused("after a reset it compares what is left with the threshold once more; use reset_mechanism='zero'")
    if (beta != 1).any():
        raise Refused(SUBTRACTS.format(beta=float(beta.min())))
    return Reset.SOFT


def _check_options(cell: Any) -> None:
    if cell.inhibition:
        raise Refused("its neurons inhibit each other")
    if cell.state_quant:
        raise Refused("it rounds its state by itself")
    if float(cell.graded_spikes_factor) != 1:
        raise Refused("its spikes are graded")
    check_strict(cell.spike_grad)


def _mechanism(cell: Any) -> str:
    return ("subtract", "zero", "none")[int(cell.reset_mechanism_val)]


def _forget(cell: Any) -> None:
    for name in ("mem", "syn"):
        if hasattr(cell, name):
            setattr(cell, name, torch.zeros(0))
    vars(cell).pop("reset", None)  # what the last call left behind


KINDS = {
    f"snntorch._neurons.{name}": Kind(
        name.split(".")[1], Layout.STEP, "spikes", law, potential=index, reset=_forget, hidden=lambda cell: cell.mem
    )
    for name, law, index in (("leaky.Leaky", leaky, 1), ("synaptic.Synaptic", synaptic, 2))
}
