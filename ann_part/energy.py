"""Joules of a piece of work from the meters that a machine has: NVML for a GPU, RAPL for a CPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

POWERCAP = Path("/sys/class/powercap")
SAMPLE_S = 0.02
"""Between two readings of a power meter, where there is no counter of energy."""
IDLE_S = 1.0
"""How long the idle power is measured for."""


@dataclass(frozen=True, slots=True)
class Energy:
    """What a meter says of some work.

    Attributes:
        total_j: of the whole device while the work ran; None without a meter.
        above_idle_j: the same without what it takes when idle; None where that was not measured.
        meter: which one, or why there is none.
    """

    total_j: float | None
    above_idle_j: float | None
    meter: str


class Meter(Protocol):
    """Something that counts a device's energy."""

    name: str

    def joules(self) -> float:
        """Since some moment in the past; never falls."""

    def close(self) -> None:
        """Stop counting."""


def open_meter(device: torch.device, powercap: Path = POWERCAP) -> Meter | str:
    """The meter of a device, or why it has none."""
    return _open_nvml(device) if device.type == "cuda" else open_rapl(powercap)


def idle_watts(meter: Meter, seconds: float = IDLE_S) -> float:
    """Mean power while nothing of ours runs."""
    begin, before = time.perf_counter(), meter.joules()
    time.sleep(seconds)
    return (meter.joules() - before) / (time.perf_counter() - begin)


def energy_of(work: Callable[[], object], meter: Meter | str, idle_w: float | None = None) -> Energy:
    """Run `work`, which must end when the device is done with it, and read the meter.

    Args:
        work: long against the meter's resolution, tens of milliseconds.
        meter: as `open_meter` gives it.
        idle_w: power of the idle device.
    """
    if isinstance(meter, str):
        work()
        return Energy(None, None, meter)
    begin, before = time.perf_counter(), meter.joules()
    work()
    total, seconds = meter.joules() - before, time.perf_counter() - begin
    return Energy(total, None if idle_w is None else total - idle_w * seconds, meter.name)


class Rapl:
    """The counters of Linux's powercap: one file of microjoules per CPU package, each going round at its own range.

    Args:
        packages: folders with `energy_uj` and `max_energy_range_uj`.

    Raises:
        OSError: where they cannot be read.
        ValueError: where they hold no numbers.
    """

    def __init__(self, packages: list[Path]) -> None:
        self.name = f"RAPL, {len(packages)} CPU package{'s' * (len(packages) > 1)}"
        self._files = [folder / "energy_uj" for folder in packages]
        self._ranges = [int((folder / "max_energy_range_uj").read_text()) for folder in packages]
        self._last = [int(file.read_text()) for file in self._files]
        self._total = 0

    def joules(self) -> float:
        """Of all packages since this was made, if it is asked at least once per round (minutes)."""
        for i, file in enumerate(self._files):
            now = int(file.read_text())
            # a round ends at the range, and the next begins at zero
            self._total += (now - self._last[i]) % (self._ranges[i] + 1)
            self._last[i] = now
        return self._total / 1e6

    def close(self) -> None:
        """Nothing is open."""


def open_rapl(powercap: Path = POWERCAP) -> Rapl | str:
    """The CPU's counters, or why they cannot be read."""
    packages = [path.parent for path in sorted(powercap.glob("*/name")) if _is_package(path)]
    if not packages:
        return "time only: this machine shows no RAPL counter"
    try:
        return Rapl(packages)
    except PermissionError:
        return "time only: the RAPL counters may be read by root alone"
    except (OSError, ValueError) as error:
        return f"time only: RAPL cannot be read: {error}"


def _is_package(name: Path) -> bool:
    """Whether a zone is a whole package: cores and memory inside one have zones too, and would be counted twice."""
    try:
        return name.read_text().startswith("package")
    except OSError:
        return False


def _open_nvml(device: torch.device) -> Meter | str:
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return "time only: nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
        properties = torch.cuda.get_device_properties(device)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}") if hasattr(properties, "uuid") else (
            pynvml.nvmlDeviceGetHandleByIndex(device.index or 0)
        )  # fmt: skip
        return open_gpu(pynvml, handle)
    except pynvml.NVMLError as error:
        return f"time only: NVML says {error}"


def open_gpu(nvml: Any, handle: Any) -> Meter:
    """The energy counter of a GPU, or its power summed over time where it has none (before Volta)."""
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return _Sampled(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3)
    return _Counter(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)


class _Counter:
    name = "NVML, energy counter"

    def __init__(self, read: Callable[[], float]) -> None:
        self.joules = read

    def close(self) -> None:
        """Nothing is open."""


class _Sampled:
    name = "NVML, power summed over time"

    def __init__(self, watts: Callable[[], float]) -> None:
        self._watts, self._total, self._lock, self._stop = watts, 0.0, threading.Lock(), threading.Event()
        self._last = time.perf_counter()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def joules(self) -> float:
        with self._lock:
            self._add()
            return self._total

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            with self._lock:
                self._add()

    def _add(self) -> None:
        now = time.perf_counter()
        self._total += self._watts() * (now - self._last)
        self._last = now
