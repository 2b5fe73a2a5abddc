"""What is timed, and how: turns, medians, spread, meters."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ann_part.energy import Energy, Meter, energy_of

MAC_J = 4.6e-12
"""Of one multiply-accumulate in fp32, 45 nm (Horowitz, ISSCC 2014), as the paper counts."""
METER_S = 2.0
"""How long a work is repeated for its energy."""
Work = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One system.

    Attributes:
        name: of the system.
        views: views per video.
        gmac: billions of multiply-accumulates per video, dense.
        prepare: makes what computes one batch of so many views.
        batches: numbers of views at once that are tried, rising.
    """

    name: str
    views: int
    gmac: float
    prepare: Callable[[int], Work]
    batches: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Speed:
    """One system at one batch.

    Attributes:
        name: of the system.
        views: views per video.
        gmac: billions of multiply-accumulates per video.
        batch: views at once.
        seconds: per video, of every repeat.
        cpu_s: seconds of all cores per video, of every repeat; other work on the machine hardly changes them.
        energy: per video.
    """

    name: str
    views: int
    gmac: float
    batch: int
    seconds: tuple[float, ...]
    cpu_s: tuple[float, ...]
    energy: Energy

    @property
    def videos_per_second(self) -> float:
        """From the median."""
        return 1 / statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest minus fastest repeat, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / statistics.median(self.seconds)

    @property
    def accounted_j(self) -> float:
        """Joules of a video by the paper's accounting."""
        return self.gmac * 1e9 * MAC_J


@dataclass(frozen=True, slots=True)
class Clock:
    """How to measure.

    Attributes:
        device: that is waited for.
        repeats: timed runs after one to warm up.
        limit_s: a larger batch is not tried where one call takes longer than this.
        meter: of energy, or why there is none.
        idle_w: power of the idle device.
        say: told what cannot be done.
    """

    device: torch.device
    repeats: int
    limit_s: float
    meter: Meter | str
    idle_w: float | None
    say: Callable[[str], None]

    @torch.inference_mode()
    def speeds(self, row: Row) -> list[Speed]:
        """The row at every batch that memory and time allow."""
        found: list[Speed] = []
        for batch in row.batches:
            try:
                seconds, cpu_s, energy = self._measure(row.prepare(batch))
            except (torch.cuda.OutOfMemoryError, MemoryError):
                self.say(f"{row.name}: out of memory at {batch} views at once; {batch // 2} was the last")
                break
            share = row.views / batch
            each = [None if j is None else j * share for j in (energy.total_j, energy.above_idle_j)]
            times = (tuple(x * share for x in values) for values in (seconds, cpu_s))
            found.append(Speed(row.name, row.views, row.gmac, batch, *times, Energy(*each, energy.meter)))
            if min(seconds) * 2 > self.limit_s:
                break
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return found

    def _measure(self, work: Work) -> tuple[list[float], list[float], Energy]:
        work()
        self._wait()
        seconds, cpu_s = [], []
        for _ in range(self.repeats):
            begin, before = time.perf_counter(), time.process_time()
            work()
            self._wait()
            seconds.append(time.perf_counter() - begin)
            cpu_s.append(time.process_time() - before)
        if isinstance(self.meter, str):
            return seconds, cpu_s, Energy(None, None, self.meter)
        times = max(1, round(METER_S / min(seconds)))
        energy = energy_of(lambda: (*(work() for _ in range(times)), self._wait()), self.meter, self.idle_w)
        each = [None if j is None else j / times for j in (energy.total_j, energy.above_idle_j)]
        return seconds, cpu_s, Energy(*each, energy.meter)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def macs_of(model: nn.Module, inputs: list[torch.Tensor]) -> float:
    """Billions of multiply-accumulates of one call by torch's counter."""
    # the counter sees nothing in inference mode
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(*inputs)
    return float(counter.get_total_flops()) / 2e9
