"""The executors of the spiking graph, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hybrid.errors import BadInputError, VerificationError
from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.network import IntArray, Recording, SpikingNetwork

Inputs = Mapping[str, IntArray]
Progress = Callable[[int, int], None]

BACKENDS = ("hwsim", "reference", "lava-fused", "lava-stock")


def run_spiking(network: SpikingNetwork, inputs: Inputs, backend: str, progress: Progress | None = None) -> Recording:
    """Run all GOPs on one backend.

    Args:
        network: the spiking graph.
        inputs: port name to integers [G, T, *shape].
        backend: one of `BACKENDS`.
        progress: told (steps done, steps in all) where the backend can tell.

    Raises:
        BadInputError: for an unknown backend.
        snn_export.lava.LavaError: where Lava is missing, or failed.
    """
    if backend == "hwsim":
        from hwsim import engine

        return engine.run(network, inputs).recording
    if backend == "reference":
        return reference.run(network, inputs)
    if backend == "lava-fused":
        return lava.run(network, inputs, "fused", progress=progress)
    if backend == "lava-stock":
        return lava.run(network, inputs, "stock", progress=progress)
    raise BadInputError(backend, "there is no such backend", f"use one of {', '.join(BACKENDS)}")


def check_equal(network: SpikingNetwork, left: Recording, right: Recording, names: tuple[str, str]) -> None:
    """Compare every spike and potential of two backends.

    Raises:
        VerificationError: at the first bit that differs, naming layer, step, channel and place.
    """
    difference = first_difference(network, left, right)
    if difference is not None:
        what = f"the first difference is at {difference}"
        raise VerificationError(" against ".join(names), what, "report this as a bug")
