"""The executors of the spiking graph, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from hybrid.errors import BadInputError, VerificationError
from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.network import IntArray, Recording, SpikingNetwork

Inputs = Mapping[str, IntArray]
Progress = Callable[[int, int], None]
Run = Callable[[Inputs, Progress | None], Recording]

BACKENDS = ("hwsim", "reference", "lava-fused", "lava-stock")


@contextmanager
def executors(network: SpikingNetwork) -> Iterator[Callable[[str], Run]]:
    """The backends of one network, by name: each is made ready when first asked for, and kept to the end.

    A backend is called with the inputs, port name to integers [G, T, *shape], and with what to tell (steps
    done, steps in all) where it can tell, or None. Asking for one raises BadInputError where there is none of
    that name, and snn_export.lava.LavaError where Lava is missing or cannot express the network; calling it
    raises LavaError where Lava failed.
    """
    with ExitStack() as stack:
        ready: dict[str, Run] = {}

        def executor(backend: str) -> Run:
            if backend not in ready:
                ready[backend] = _open(network, backend, stack)
            return ready[backend]

        yield executor


def _open(network: SpikingNetwork, backend: str, stack: ExitStack) -> Run:
    if backend == "hwsim":
        from hwsim.engine import Engine

        engine = Engine(network)
        return lambda inputs, progress: engine.run(inputs).recording
    if backend == "reference":
        return lambda inputs, progress: reference.run(network, inputs)
    if backend == "lava-fused":
        return stack.enter_context(lava.Runner(network, "fused")).run
    if backend == "lava-stock":
        return stack.enter_context(lava.Runner(network, "stock")).run
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
