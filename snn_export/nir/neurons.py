"""NIR's neurons in discrete time: forward Euler with one fixed step.

``tau dv/dt = (v_leak - v) + R I`` becomes ``v' = (1 - dt / tau) v + dt / tau (v_leak + R I)``, and the current of a
CubaLIF ``i' = (1 - dt / tau_syn) i + dt / tau_syn w_in S``, which acts on v in the same step. A spike is
``v' > v_threshold``, and sets v to 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from snn_export.network import LIF, IntArray, Reset
from snn_export.nir.graph import Node


@dataclass(frozen=True, slots=True, eq=False)
class Neuron:
    """A neuron of a float network and what multiplies its input.

    Attributes:
        lif: the constants; the bias is that of `v_leak`.
        gain: factor on the input, [1] or [channels].
    """

    lif: LIF
    gain: IntArray


def neuron(node: Node, shape: tuple[int, ...], dt: float, reset: Reset) -> Neuron:
    """The neuron of a node, for a population of `shape`.

    Args:
        node: of one of `graph.NEURONS`.
        shape: (C, H, W) or (N,).
        dt: the step, in the unit of the node's time constants.
        reset: what a spike does.

    Raises:
        NetworkError: for a step longer than a time constant, a reset to another value than 0, or a parameter
            that differs within a channel.
    """
    one, zero = np.ones(1), np.zeros(1)
    if node.op == "Threshold":
        return Neuron(LIF(zero, _constant(node, "threshold", shape), Reset.ZERO), one)
    readout = node.op in ("I", "LI", "CubaLI")
    if not readout and (node.numbers("v_reset", 0) != 0).any():
        raise node.error("v_reset is not 0", "shift the potentials so that the reset is at 0")
    vth = zero if readout else _constant(node, "v_threshold", shape)
    reset = Reset.NONE if readout else reset
    r = _constant(node, "r", shape)
    if node.op in ("I", "IF"):
        return Neuron(LIF(one, vth, reset, readout), dt * r)
    share = _share(node, "tau" if node.op in ("LI", "LIF") else "tau_mem", shape, dt)
    bias, gain, ukeep = share * _constant(node, "v_leak", shape, 0), share * r, 0.0
    if node.op.startswith("Cuba"):
        syn = _share(node, "tau_syn", shape, dt)
        if syn.size > 1:
            raise node.error("tau_syn differs between channels", "use one for the layer")
        ukeep, gain = float(1 - syn[0]), gain * syn * _constant(node, "w_in", shape, 1)
    return Neuron(LIF(1 - share, vth, reset, readout, ukeep, bias), gain)


def per_channel(node: Node, value: IntArray, shape: tuple[int, ...], name: str) -> IntArray:
    """A parameter of a population as one number or one per channel, from whatever shape it was exported in."""
    while value.ndim > len(shape) and value.shape[0] == 1:
        value = value[0]
    if value.shape == shape[:1]:
        value = value.reshape(-1, *(1 for _ in shape[1:]))
    elif value.shape == (int(np.prod(shape)),):
        value = value.reshape(shape)
    try:
        full = np.broadcast_to(value, shape).reshape(shape[0], -1)
    except ValueError:
        what = f"its {name} has shape {value.shape}, the population {shape}"
        raise node.error(what, "export the network again") from None
    if (full != full[:, :1]).any():
        raise node.error(f"its {name} differs within a channel", "use one number per channel")
    channels = full[:, 0]
    return channels[:1].copy() if (channels == channels[0]).all() else channels.copy()


def _constant(node: Node, name: str, shape: tuple[int, ...], default: float | None = None) -> IntArray:
    return per_channel(node, node.numbers(name, default), shape, name)


def _share(node: Node, name: str, shape: tuple[int, ...], dt: float) -> IntArray:
    """dt over the time constant."""
    tau = _constant(node, name, shape)
    if (tau < dt * (1 - 1e-6)).any():
        raise node.error(f"its {name} of {tau.min():g} is shorter than the step of {dt:g}", "pass a smaller dt")
    return np.minimum(dt / tau, 1)
