"""Run a module on a device and time it: CUDA events on a GPU, the monotonic clock on a CPU."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class DeviceError(RuntimeError):
    """A device that was asked for and is not there.

    Attributes:
        where: the device.
        what: what is wrong with it.
        fix: how to go on.
    """

    exit_code = 2

    def __init__(self, where: str, what: str, fix: str) -> None:
        self.where, self.what, self.fix = where, what, fix
        super().__init__(f"{what}\n  where: {where}\n  fix:   {fix}")


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One module, timed.

    Attributes:
        output: of the last repeat, on the CPU.
        device: what it ran on, in words.
        seconds: of each repeat after the warm-up.
    """

    output: Tensor
    device: str
    seconds: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median of the repeats, in seconds."""
        return statistics.median(self.seconds)


def resolve_device(name: str) -> torch.device:
    """`cpu`, `cuda`, or `auto`: the GPU where there is one.

    Raises:
        DeviceError: for an unknown name, or for `cuda` where there is no GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise DeviceError(name, "there is no such device", "use cpu, cuda or auto")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("cuda", "no CUDA GPU can be used on this machine", "use --device cpu, or auto")
    return torch.device(name)


@torch.inference_mode()
def measure(module: nn.Module, inputs: tuple[Tensor, ...], device: torch.device, repeats: int) -> Measurement:
    """Run `module` once to warm up, then `repeats` times.

    Args:
        module: moved to the device and left there.
        inputs: moved there before the clock starts.
        device: where to run.
        repeats: timed runs, at least 1.
    """
    module = module.to(device)
    placed = tuple(tensor.to(device) for tensor in inputs)
    module(*placed)
    seconds = []
    for _ in range(repeats):
        if device.type == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            output = module(*placed)
            end.record()
            torch.cuda.synchronize()
            seconds.append(start.elapsed_time(end) / 1e3)
        else:
            begin = time.perf_counter()
            output = module(*placed)
            seconds.append(time.perf_counter() - begin)
    return Measurement(output.cpu(), _words(device), tuple(seconds))


@torch.inference_mode()
def forward(module: nn.Module, inputs: tuple[Tensor, ...], device: torch.device) -> Tensor:
    """The output of `module` on the CPU, run once on a device and not timed."""
    output: Tensor = module.to(device)(*(tensor.to(device) for tensor in inputs))
    return output.cpu()


def _words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
