"""Values for the input ports of a network: from a file, or drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hybrid.errors import BadInputError
from hybrid.runtime.arrays import read_arrays
from snn_export.network import REAL, InputPort, IntArray, SpikingNetwork

Values = Mapping[str, IntArray]
"""Port name to integers [G, T, *shape], or to real numbers where the port takes them."""


def read_spikes(path: Path, network: SpikingNetwork, steps: int | None = None) -> Values:
    """Read one array [steps, *shape] or [GOPs, steps, *shape] for each input port; see `arrays.read_arrays`.

    Whole numbers may be stored as floats. Which of the two formats it is shows in the content.

    Args:
        path: a NumPy .npz or a safetensors file.
        network: gives the ports.
        steps: how many there must be; None for as many as there are.

    Raises:
        BadInputError: for a file that cannot be read, other names than those of the ports, an array of the wrong
            shape or type, a value out of its port's range, or another number of steps.
    """
    arrays = read_arrays(path)
    ports = {port.name: port for port in network.inputs}
    if set(arrays) != set(ports):
        wanted = ", ".join(f"{port.name!r} {list(port.shape)}" for port in network.inputs)
        raise BadInputError(
            str(path), f"it holds arrays named {sorted(arrays)}", f"give one for each input port: {wanted}"
        )
    values = {name: _values(port, arrays[name], f"{path}: {name}") for name, port in ports.items()}
    sizes = {name: x.shape[:2] for name, x in values.items()}
    if len(set(sizes.values())) > 1:
        words = ", ".join(f"{name!r} {g} and {t}" for name, (g, t) in sizes.items())
        raise BadInputError(str(path), f"different numbers of GOPs and steps: {words}", "give all ports the same")
    found = next(iter(sizes.values()))[1]
    if steps not in (None, found):
        raise BadInputError(
            str(path), f"{found} steps, and --steps says {steps}", f"use --steps {found}, or leave it out"
        )
    return values


def random_spikes(network: SpikingNetwork, steps: int, rate: float, seed: int) -> Values:
    """One GOP of independent events: every value is nonzero with the probability `rate`.

    A port of spikes or of real numbers gets ones; a graded port any nonzero value of its range, all alike likely.
    """
    rng = np.random.default_rng(seed)
    values = {}
    for port in network.inputs:
        shape = (1, steps, *port.shape)
        events = rng.random(shape) < rate
        if port.bits in (REAL, 1):
            values[port.name] = events.astype(np.int16)
            continue
        low, high = port.interval
        drawn = rng.integers(low, high, shape)
        values[port.name] = (events * (drawn + (drawn >= 0))).astype(np.int16)  # leaves out 0
    return values


def _values(port: InputPort, array: IntArray, where: str) -> IntArray:
    shape, batched = list(port.shape), array.ndim == len(port.shape) + 2
    if array.ndim - len(shape) not in (1, 2) or list(array.shape[-len(shape) :]) != shape or 0 in array.shape:
        sizes = ", ".join(map(str, shape))
        raise BadInputError(
            where, f"array of shape {list(array.shape)}", f"give [steps, {sizes}] or [GOPs, steps, {sizes}]"
        )
    if array.dtype.kind not in "iubf" or not np.isfinite(array).all():
        raise BadInputError(where, f"values of type {array.dtype}, not all finite numbers", "give finite numbers")
    batch = array if batched else array[None]
    if port.bits == REAL:
        return batch
    low, high = port.interval
    if float(batch.min()) < low or float(batch.max()) > high:
        what = f"values {batch.min()} to {batch.max()} leave {low}..{high}, what {port.bits} bits can say"
        raise BadInputError(where, what, "bring them into range, or declare more bits")
    whole = batch.astype(np.int16)
    if (whole != batch).any():
        raise BadInputError(where, "values with fractions, and this port takes integers", "round them first")
    return whole
