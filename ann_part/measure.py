"""Run a module on a device and time it: CUDA events on a GPU, the monotonic clock on a CPU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ann_part.errors import DeviceError
from ann_part.precision import Precision, run

__all__ = ["DeviceError", "Measurement", "measure", "resolve_device"]


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One module, timed.

    Attributes:
        output: of the last repeat, fp32 on the CPU.
        device: what it ran on, in words.
        seconds: of each repeat after the warm-up.
        precision: that it was computed in.
        batch: samples that went through at once; fewer than were given where memory did not suffice.
    """

    output: Tensor
    device: str
    seconds: tuple[float, ...]
    precision: Precision
    batch: int

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
def measure(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    device: torch.device,
    repeats: int,
    precision: Precision = "fp32",
    warn: Callable[[str], None] = lambda line: None,
) -> Measurement:
    """Run `module` once to warm up, then `repeats` times.

    Args:
        module: moved to the device and left there.
        inputs: fp32, batch first; moved there before the clock starts.
        device: where to run.
        repeats: timed runs, at least 1.
        precision: to compute in; fp32 where it gives no finite numbers.
        warn: told of such a fall back, and of a batch that was halved since memory did not suffice.

    Raises:
        DeviceError: where memory does not suffice for a single sample.
    """
    module = module.to(device)
    placed = tuple(tensor.to(device) for tensor in inputs)
    batch = _fitting_batch(module, placed, precision, warn)
    parts = list(zip(*(tensor.split(batch) for tensor in placed), strict=True))
    _, precision = run(module, parts[0], precision, warn)
    seconds = []
    for _ in range(repeats):
        stop = _clock(device)
        output = torch.cat([run(module, part, precision)[0] for part in parts])
        seconds.append(stop())
    return Measurement(output.cpu(), _words(device), tuple(seconds), precision, batch)


def _fitting_batch(
    module: nn.Module, inputs: tuple[Tensor, ...], precision: Precision, warn: Callable[[str], None]
) -> int:
    """Samples that fit the memory at once, by halving; runs them once to find out, which warms up as well."""
    batch = len(inputs[0])
    while True:
        try:
            run(module, tuple(tensor[:batch] for tensor in inputs), precision)
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            if batch == 1:
                what = "the memory does not suffice for a single sample"
                raise DeviceError(_words(inputs[0].device), what, "use a smaller model, or --device cpu") from error
            batch = (batch + 1) // 2
            warn(f"out of memory: {batch} samples at once instead of {len(inputs[0])}")
        else:
            return batch


def _clock(device: torch.device) -> Callable[[], float]:
    """Start a clock; calling what it gives stops it: seconds."""
    if device.type != "cuda":
        begin = time.perf_counter()
        return lambda: time.perf_counter() - begin
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()

    def stop() -> float:
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) / 1e3

    return stop


@torch.inference_mode()
def forward(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    device: torch.device,
    precision: Precision = "fp32",
    warn: Callable[[str], None] = lambda line: None,
) -> tuple[Tensor, Precision]:
    """The output of `module` as fp32 on the CPU, run once on a device and not timed, and the precision it had."""
    output, used = run(module.to(device), tuple(tensor.to(device) for tensor in inputs), precision, warn)
    return output.cpu(), used


def _words(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
