"""norse: forward Euler with a step of dt, so that all constants are exact.

``i' = i + x``, ``v' = v + dt tau_mem_inv (v_leak - v + i')``, a spike where ``v' > v_th``, then
``i = (1 - dt tau_syn_inv) i'``. The contract's current is norse's ``i'``, its input gain ``dt tau_mem_inv``. State
begins at ``v_leak``: where that is also what a spike resets to, potentials are counted from it.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from hybrid.graph.cells.kind import Kind, Law, Layout, Refused, Role, check_strict, constant, share
from snn_export.network import LIF, Reset

RESETS = {"reset_value": Reset.ZERO, "reset_subtract": Reset.SOFT}
LOOPS = "its recurrent weights close a loop, and a network here has none"
ADAPTIVE = "its law has more than a leak, a current and a reset (adaptation, refractory time, conductances)"


def lif(cell: Any, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, with its synaptic current, where `v_reset` is `v_leak` and its potential is not used."""
    return _spiking(cell, shape, role, Reset.ZERO, _current(cell, shape))


def box(cell: Any, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, with `reset_value` where `v_reset` is `v_leak`, or `reset_subtract` where `v_leak` is 0."""
    name = getattr(cell.p.reset_method, "__name__", "?")
    if name not in RESETS:
        raise Refused(f"its reset {name!r} is none of {', '.join(RESETS)}")
    return _spiking(cell, shape, role, RESETS[name], 0.0)


def integrator(cell: Any, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, as a read-out, where `v_leak` is 0."""
    ukeep = _current(cell, shape) if hasattr(cell.p, "tau_syn_inv") else 0.0
    if constant(cell, "v_leak", cell.p.v_leak, shape).any():
        raise Refused("its v_leak is not 0, where a read-out of the contract begins")
    mem = share(cell, "dt * tau_mem_inv", cell.dt * cell.p.tau_mem_inv, shape)
    return Law(LIF(1 - mem, np.zeros(1), Reset.NONE, True, ukeep, np.zeros(1)), mem)


def _spiking(cell: Any, shape: tuple[int, ...], role: Role, reset: Reset, ukeep: float) -> Law:
    p = cell.p
    if role == "potential":
        raise Refused("its potential is used, and a spike resets it; a read-out of the contract never spikes")
    threshold = sys.modules["norse.torch.functional.threshold"].threshold
    if p.method != "adjoint":  # the adjoint method's forward pass is a plain threshold
        check_strict(lambda x: threshold(x, p.method, p.alpha))
    leak, back, vth = (constant(cell, n, getattr(p, n), shape) for n in ("v_leak", "v_reset", "v_th"))
    if (leak != back).any() or (reset is Reset.SOFT and leak.any()):
        raise Refused("its v_leak, where its state begins, is not what a spike resets it to")
    if (vth < leak).any():
        raise Refused("its threshold is below its resting potential")
    mem = share(cell, "dt * tau_mem_inv", cell.dt * p.tau_mem_inv, shape)
    return Law(LIF(1 - mem, vth - leak, reset, False, ukeep, np.zeros(1)), mem)


def _current(cell: Any, shape: tuple[int, ...]) -> float:
    syn = share(cell, "dt * tau_syn_inv", cell.dt * cell.p.tau_syn_inv, shape)
    if syn.size > 1:
        raise Refused("its tau_syn_inv differs between channels")
    return float(1 - syn[0])


def _no(reason: str) -> Any:
    def law(cell: Any, shape: tuple[int, ...], role: Role) -> Law:
        raise Refused(reason)

    law.__doc__ = f"Not on a chip: {reason}."
    return law


def _kinds() -> dict[str, Kind]:
    found = {
        "lif.LIFCell": Kind("LIFCell", Layout.STEP, "spikes", lif),
        "lif.LIF": Kind("LIF", Layout.TIME_FIRST, "spikes", lif),
        "lif_box.LIFBoxCell": Kind("LIFBoxCell", Layout.STEP, "spikes", box),
        "leaky_integrator.LICell": Kind("LICell", Layout.STEP, "potential", integrator),
        "leaky_integrator.LI": Kind("LI", Layout.TIME_FIRST, "potential", integrator),
        "leaky_integrator_box.LIBoxCell": Kind("LIBoxCell", Layout.STEP, "potential", integrator),
        "lif.LIFRecurrentCell": Kind("LIFRecurrentCell", Layout.STEP, "spikes", _no(LOOPS)),
        "lif.LIFRecurrent": Kind("LIFRecurrent", Layout.TIME_FIRST, "spikes", _no(LOOPS)),
    }
    for name in ("lif_refrac.LIFRefracCell", "lif_adex.LIFAdExCell", "lif_ex.LIFExCell", "izhikevich.IzhikevichCell",
                 "coba_lif.CobaLIFCell", "lsnn.LSNNCell"):  # fmt: skip
        found[name] = Kind(name.split(".")[1], Layout.STEP, "spikes", _no(ADAPTIVE))
    return {f"norse.torch.module.{name}": kind for name, kind in found.items()}


KINDS = _kinds()
