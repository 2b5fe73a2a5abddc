"""How close each kind of work comes to the machine's peaks, which are measured in the same run.

Operations are counted here: those of the program as it was given, two per multiply-accumulate. A form that needs fewer
(Winograd's) is measured by the same count, so that it may pass the peak of plain products.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from ann_part.operators import Timed
from ann_part.precision import TYPES, Precision
from ann_part.rewrite.graph import aten
from ann_part.rewrite.linear import PackedLinear, WideAttention

KINDS = ("linear layers", "attention", "convolutions", "everything else")
MATRIX, COPY_BYTES = {"cpu": 2048, "cuda": 8192}, {"cpu": 2**28, "cuda": 2**31}
_KIND_OF = {
    aten.addmm.default: KINDS[0], aten.mm.default: KINDS[0], aten.scaled_dot_product_attention.default: KINDS[1],
    aten.convolution.default: KINDS[2],
}  # fmt: skip
_MOVES_NOTHING = {
    "view",
    "transpose",
    "permute",
    "t",
    "alias",
    "unbind",
    "slice",
    "expand",
    "unsqueeze",
    "_unsafe_view",
}


@dataclass(frozen=True, slots=True)
class Peaks:
    """What a device reaches here and now.

    Attributes:
        operations_per_s: of a large square matrix product in the precision.
        bytes_per_s: read and written by a copy of memory larger than any cache.
    """

    operations_per_s: float
    bytes_per_s: float

    def roof(self, intensity: float) -> float:
        """Operations per second that are possible at so many operations per byte."""
        return min(self.operations_per_s, intensity * self.bytes_per_s)


@dataclass(frozen=True, slots=True)
class Work:
    """All operators of one kind in one call of a program.

    Attributes:
        operations: two per multiply-accumulate; zero where none is counted.
        bytes: of each operator's inputs, weights and outputs, once.
    """

    operations: float
    bytes: float

    @property
    def intensity(self) -> float:
        """Operations per byte."""
        return self.operations / self.bytes if self.bytes else 0.0


@torch.inference_mode()
def measure_peaks(device: torch.device, precision: Precision, repeats: int = 5) -> Peaks:
    """Best of `repeats` of a matrix product and of a copy."""
    n = MATRIX[device.type]
    a, b = torch.randn(2, n, n, device=device, dtype=TYPES.get(precision, torch.float32))
    product = _best(lambda: a @ b, device, repeats)
    source = torch.ones(COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    copy = _best(lambda: target.copy_(source), device, repeats)
    return Peaks(2 * n**3 / product, 2 * COPY_BYTES[device.type] / copy)


def count_work(program: fx.GraphModule, inputs: tuple[Tensor, ...]) -> dict[str, Work]:
    """The work of one call by kind, from the shapes that the operators have for these inputs."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        FakeTensorProp(program, mode).propagate(*inputs)
    totals = {kind: [0.0, 0.0] for kind in KINDS}
    for node in program.graph.nodes:
        if node.op != "call_function" or str(node.target).split(".")[1:2] in ([x] for x in _MOVES_NOTHING):
            continue
        total = totals[_KIND_OF.get(node.target, KINDS[3])]
        total[0] += _operations(program, node)
        total[1] += sum(_bytes(program, x) for x in (*node.all_input_nodes, node))
    return {kind: Work(*total) for kind, total in totals.items()}


@torch.inference_mode()
def measure_kinds(module: fx.GraphModule, inputs: tuple[Tensor, ...], repeats: int = 3) -> dict[str, float]:
    """Seconds of one call by kind, operator by operator: medians, after a run to warm up."""
    timed = Timed(module, inputs[0].device)
    for _ in range(1 + repeats):
        timed.run(*inputs)
    found = dict.fromkeys(KINDS, 0.0)
    for node, seconds in timed.seconds.items():
        found[_kind(module, node)] += statistics.median(seconds[1:])
    return found


def _kind(module: fx.GraphModule, node: fx.Node) -> str:
    if node.op == "call_module":
        child = module.get_submodule(str(node.target))
        if isinstance(child, PackedLinear):
            return KINDS[0]
        return KINDS[1] if isinstance(child, WideAttention) else KINDS[2]
    if node.op == "call_function" and not str(node.target).startswith("aten."):
        return KINDS[2] if "transform_input" in str(node.target) else KINDS[3]
    return _KIND_OF.get(node.target, KINDS[3])


def _operations(program: fx.GraphModule, node: fx.Node) -> int:
    shapes: list[tuple[int, ...]] = [
        tuple(_value(program, x).shape) for x in node.all_input_nodes if isinstance(_value(program, x), Tensor)
    ]
    if node.target == aten.convolution.default:
        outputs: tuple[int, ...] = tuple(_value(program, node).shape)
        return 2 * math.prod(outputs) * math.prod(shapes[1][1:])
    if node.target in (aten.addmm.default, aten.mm.default):
        rows, inner = shapes[-2]
        return 2 * rows * inner * shapes[-1][1]
    if node.target == aten.scaled_dot_product_attention.default:
        query, key, value = shapes
        scores = math.prod(query[:-1]) * key[-2]
        return 2 * scores * (query[-1] + value[-1])
    return 0


def _bytes(program: fx.GraphModule, node: fx.Node) -> int:
    value = _value(program, node)
    tensors = value if isinstance(value, (tuple, list)) else [value]
    return sum(x.numel() * x.element_size() for x in tensors if isinstance(x, Tensor))


def _value(program: fx.GraphModule, node: fx.Node) -> Any:
    return getattr(program, str(node.target)) if node.op == "get_attr" else node.meta.get("val")


def _best(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    times = []
    for _ in range(1 + repeats):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times[1:])
