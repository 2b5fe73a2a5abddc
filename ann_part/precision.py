"""Run a module in half precision where that is faster, and never give out what it could not represent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ann_part.errors import DeviceError

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
TYPES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(name: str, device: torch.device) -> Precision:
    """The precision of this name.

    Raises:
        DeviceError: for an unknown name, or for one that the device does not compute in.
    """
    for known in PRECISIONS:
        if known == name:
            break
    else:
        raise DeviceError(name, "there is no such precision", f"use one of {', '.join(PRECISIONS)}")
    if known == "fp16" and device.type == "cpu":
        raise DeviceError(name, "a CPU multiplies fp16 by way of fp32, slower than fp32 itself", "use bf16 or fp32")
    return known


def precise(precision: Precision, device: torch.device) -> AbstractContextManager[Any]:
    """Matrix products and convolutions in this precision; what needs range (norms, softmax, sums) stays in fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, TYPES[precision])


def autocast_precision(device: torch.device) -> Precision:
    """The precision of the autocast around the caller."""
    on_gpu = device.type == "cuda"
    if not (torch.is_autocast_enabled() if on_gpu else torch.is_autocast_cpu_enabled()):
        return "fp32"
    used = torch.get_autocast_gpu_dtype() if on_gpu else torch.get_autocast_cpu_dtype()
    return next(name for name, dtype in TYPES.items() if dtype == used)


def run(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    precision: Precision,
    warn: Callable[[str], None] = lambda line: None,
) -> tuple[Tensor, Precision]:
    """The output as fp32, and the precision it was computed in: fp32 where a lower one gave no finite numbers.

    Args:
        module: on the device of the inputs.
        inputs: in fp32.
        precision: to try.
        warn: told when fp32 had to be used instead.
    """
    with precise(precision, inputs[0].device):
        output: Tensor = module(*inputs)
    output = output.float()
    if precision != "fp32" and not bool(torch.isfinite(output).all()):
        warn(f"{precision} gave numbers that are not finite; this part was computed in fp32")
        return module(*inputs), "fp32"
    return output, precision
