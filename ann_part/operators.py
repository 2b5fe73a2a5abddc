"""Time a traced module operator by operator."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """One operator of a module.

    Attributes:
        name: of its node.
        operator: what it computes, such as `aten.conv2d.default`.
        seconds: median of the repeats; the device is waited for after each operator, so that all together take
            longer than the module does.
    """

    name: str
    operator: str
    seconds: float


@torch.inference_mode()
def measure_operators(
    module: fx.GraphModule, inputs: tuple[Tensor, ...], device: torch.device, repeats: int
) -> tuple[OperatorTime, ...]:
    """Run `module` once to warm up, then `repeats` times, and time each call in execution order."""
    timed = Timed(module.to(device), device)
    placed = tuple(tensor.to(device) for tensor in inputs)
    for _ in range(1 + repeats):
        timed.run(*placed)
    return tuple(
        OperatorTime(node.name, str(node.target), statistics.median(timed.seconds[node][1:]))
        for node in module.graph.nodes
        if node.op == "call_function" and str(node.target).startswith("aten.")
    )


class Timed(fx.Interpreter):
    """Runs a module node by node and keeps the seconds of each run of every node, the device being waited for."""

    def __init__(self, module: fx.GraphModule, device: torch.device) -> None:
        super().__init__(module, garbage_collect_values=True)
        self._device = device
        self.seconds: dict[fx.Node, list[float]] = {node: [] for node in module.graph.nodes}

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter, timed."""
        begin = time.perf_counter()
        result = super().run_node(n)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds[n].append(time.perf_counter() - begin)
        return result
