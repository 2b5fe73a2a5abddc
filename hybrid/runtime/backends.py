"""The executors of the spiking graph, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from hybrid.errors import BadInputError, VerificationError
from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.network import IntArray, Recording, SpikingNetwork, check_inputs

Inputs = Mapping[str, IntArray]
Progress = Callable[[int, int], None]
Run = Callable[[Inputs, Progress | None], Recording]

BACKENDS = ("hwsim", "torch", "reference", "lava-fused", "lava-stock", "netx")
"""`torch` is the same integer arithmetic step by step in torch, on a CPU or a GPU; `netx` is lava-dl's reader of the
network's netx files, for networks that such files can say."""


def check_names(names: Iterable[str]) -> None:
    """Refuse names that are no backends.

    Raises:
        BadInputError: for the first of them.
    """
    for name in names:
        if name not in BACKENDS:
            raise BadInputError(name, "there is no such backend", f"use one of {', '.join(BACKENDS)}")


@contextmanager
def executors(network: SpikingNetwork, device: str = "cpu") -> Iterator[Callable[[str], Run]]:
    """The backends of one network, by name: each is made ready when first asked for, and kept to the end.

    A backend is called with the inputs, port name to integers [G, T, *shape], and with what to tell (steps
    done, steps in all) where it can tell, or None. `torch` runs on `device`. Asking for one raises BadInputError
    where there is none of that name, and snn_export.lava.LavaError where Lava is missing or cannot express the
    network; calling it raises LavaError where Lava failed.
    """
    with ExitStack() as stack:
        ready: dict[str, Run] = {}

        def executor(backend: str) -> Run:
            if backend not in ready:
                ready[backend] = _open(network, backend, stack, device)
            return ready[backend]

        yield executor


def _open(network: SpikingNetwork, backend: str, stack: ExitStack, device: str) -> Run:
    check_names([backend])
    if backend == "hwsim":
        from hwsim.engine import Engine

        engine = Engine(network)
        return lambda inputs, progress: engine.run(inputs).recording
    if backend == "torch":
        return _torch(network, device)
    if backend == "reference":
        return lambda inputs, progress: reference.run(network, inputs)
    lowerings: dict[str, lava.Lowering] = {"lava-fused": "fused", "lava-stock": "stock", "netx": "netx"}
    return stack.enter_context(lava.Runner(network, lowerings[backend])).run


def _torch(network: SpikingNetwork, device: str) -> Run:
    import torch

    from hwsim.engine.gpu import GpuExecutor
    from hwsim.engine.synapse import exact_arithmetic

    network.require_fixed("the torch backend")
    executor = GpuExecutor(network, None, False, torch.device(device))

    def run(inputs: Inputs, progress: Progress | None) -> Recording:
        check_inputs(network, inputs)
        with exact_arithmetic():
            return executor.run(inputs, "all").recording

    return run


def check_equal(
    network: SpikingNetwork, left: Recording, right: Recording, names: tuple[str, str], first_gop: int = 0
) -> None:
    """Compare every spike and potential of two backends.

    Args:
        network: that ran.
        left: one recording.
        right: the other.
        names: of the two backends.
        first_gop: number of the first GOP in them.

    Raises:
        VerificationError: at the first bit that differs, naming layer, step, channel and place.
    """
    difference = first_difference(network, left, right)
    if difference is not None:
        place = replace(difference, gop=difference.gop + first_gop)
        raise VerificationError(" against ".join(names), f"the first difference is at {place}", "report this as a bug")
