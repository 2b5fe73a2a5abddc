"""How long each op takes on a host that is here: the traced program, node by node, on a device."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from ann_part.measure import resolve_device
from hwsim.quantity import Range
from hybrid.graph import ModelGraph

WARM_UP, REPEATS = 2, 5


def measure_ops(graph: ModelGraph, inputs: Sequence[Tensor], device: str, batch: int) -> dict[str, Range]:
    """Seconds of every op per sample: fastest, median and slowest of some runs after a warm-up.

    Args:
        graph: the traced model.
        inputs: of the model, as it was traced.
        device: `cpu`, `cuda`, or `auto`.
        batch: samples in `inputs`.

    Raises:
        ann_part.measure.DeviceError: for a device that is not there.
    """
    target = resolve_device(device)
    timed = _Timed(graph, target)
    graph.module.to(target)
    try:
        with torch.inference_mode():
            for _ in range(WARM_UP + REPEATS):
                timed.run(*(x.to(target) for x in inputs))
    finally:
        graph.module.to("cpu")
    found = {name: [s / batch for s in seconds[WARM_UP:]] for name, seconds in timed.seconds.items()}
    return {name: Range(min(x), statistics.median(x), max(x)) for name, x in found.items()}


class _Timed(fx.Interpreter):
    def __init__(self, graph: ModelGraph, device: torch.device) -> None:
        super().__init__(graph.module, garbage_collect_values=True)
        self._names, self._device = graph.names, device
        self.seconds: dict[str, list[float]] = {name: [] for name in graph.ops}

    def run_node(self, n: fx.Node) -> Any:
        begin = time.perf_counter()
        result = super().run_node(n)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.seconds[self._names[n]].append(time.perf_counter() - begin)
        return result
