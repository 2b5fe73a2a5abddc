"""The last GOP of a clip on one timeline: the chip's cores, links and barrier, the host link, the ANN's operators.

Time is simulated: it begins when the GOP's first P-frame is sent, and a P-frame is sent as soon as the link is free,
without waiting for a camera. A step begins when its P-frame is there and the step before is over. After the last
step, as many more follow as the network has further layers, each as long as the last one.
"""

from __future__ import annotations

import torch

from ann_part.operators import measure_operators
from ann_part.precision import precise
from hwsim.timing import depth
from hybrid.bundle import Bundle
from hybrid.report.trace import Complete, Metadata, Trace
from hybrid.runtime.classify import Classified

CHIP, LINKS, HOST_LINK, ANN = 1, 2, 3, 4
BARRIER, STEPS, FIRST_CORE = 0, 1, 2
TO_CHIP, TO_HOST = 0, 1
US = 1e6
REPEATS = 2
"""Timed runs of the ANN part operator by operator, after one to warm up."""


def trace_of(bundle: Bundle, video: str, classified: Classified, device: torch.device) -> Trace:
    """The trace of the last GOP of a clip; only lanes in which something happens are named.

    Args:
        bundle: that ran.
        video: name of the clip.
        classified: what it did.
        device: where the ANN part is timed, operator by operator, on that GOP.
    """
    spans: list[Complete] = []
    now = 0.0
    for t, arrived in enumerate(_transfers(bundle, classified, spans)):
        now = _step(classified, t, max(arrived, now), spans)
    last = float(classified.timing.step.nominal[-1, -1])
    for i in range(depth(bundle.network) - 1):
        spans.append(_span("simulated", f"layer {i + 2} follows", now, last, CHIP, STEPS))
        now += last
    back = bundle.manifest.link.time(int(classified.usage.traffic.to_host[-1])).nominal
    sent = float(classified.usage.traffic.to_host[-1])
    spans.append(_span("modelled", "result to the host", now, back, HOST_LINK, TO_HOST, bytes=sent))
    now += back
    values = tuple(x[-1:] for x in classified.values)
    with precise(classified.usage.ann.precision, device):
        operators = measure_operators(bundle.ann, values, device, REPEATS)  # type: ignore[arg-type]
    for operator in operators:
        kind = operator.operator
        spans.append(_span("measured", operator.name, now, operator.seconds, ANN, 0, operator=kind))
        now += operator.seconds
    spans = [span for span in spans if span.dur > 0]
    other = {"video": video, "gop": "the last one", "time": "simulated, from the first P-frame on"}
    return Trace(traceEvents=(*_names(bundle, classified, spans), *spans), otherData=other)


def _transfers(bundle: Bundle, classified: Classified, spans: list[Complete]) -> list[float]:
    """When each P-frame is on the chip; the link sends one after the other."""
    arrivals, now = [], 0.0
    for t, count in enumerate(classified.usage.traffic.to_chip[-1].tolist()):
        seconds = bundle.manifest.link.time(count).nominal
        spans.append(_span("modelled", f"P-frame {t + 1}", now, seconds, HOST_LINK, TO_CHIP, bytes=count))
        now += seconds
        arrivals.append(now)
    return arrivals


def _step(classified: Classified, t: int, begin: float, spans: list[Complete]) -> float:
    """Add one step that begins at `begin`; returns its end."""
    timing, counts = classified.timing, classified.usage.counts
    length, name = float(timing.step.nominal[-1, t]), f"step {t + 1}"
    spans.append(_span("simulated", name, begin, length, CHIP, STEPS, spikes=int(counts.spikes[-1, t].sum())))
    for k, seconds in enumerate(timing.core.nominal[-1, t].tolist()):
        events = {"synops": int(counts.synops[-1, t, k]), "spikes": int(counts.spikes[-1, t, k])}
        spans.append(_span("simulated", name, begin, seconds, CHIP, FIRST_CORE + k, **events))
    for i, seconds in enumerate(timing.link.nominal[-1, t].tolist()):
        packets = int(counts.link_load[-1, t, i])
        spans.append(_span("simulated", name, begin, seconds, LINKS, i, packets=packets))
    sync = timing.sync.nominal
    spans.append(_span("modelled", "barrier", begin + length - sync, sync, CHIP, BARRIER))
    return begin + length


def _span(how: str, name: str, begin: float, seconds: float, pid: int, tid: int, **args: float | str) -> Complete:
    data = {"cat": how, "name": name, "ts": begin * US, "dur": seconds * US, "pid": pid, "tid": tid, "args": args}
    return Complete.model_validate(data)


def _names(bundle: Bundle, classified: Classified, spans: list[Complete]) -> list[Metadata]:
    chip, link = bundle.manifest.chip.name, bundle.manifest.link.name
    processes = {
        CHIP: f"{chip}, cores (simulated)", LINKS: f"{chip}, links between tiles (simulated)",
        HOST_LINK: f"{link} (modelled)",
        ANN: f"ANN part on {classified.device}, {classified.usage.ann.precision} (measured, operator by operator)",
    }  # fmt: skip
    threads = {(CHIP, BARRIER): "barrier", (CHIP, STEPS): "steps", (ANN, 0): "operators"}
    threads |= {(HOST_LINK, TO_CHIP): "to the chip", (HOST_LINK, TO_HOST): "to the host"}
    threads |= {(CHIP, FIRST_CORE + i): f"core {c.id}: {c.layer}" for i, c in enumerate(bundle.mapping.cores)}
    links = classified.timing.links
    threads |= {(LINKS, i): f"tile ({x.x}, {x.y}) {x.direction}" for i, x in enumerate(links)}
    used = dict.fromkeys((span.pid, span.tid) for span in spans)
    found = []
    for pid in dict.fromkeys(pid for pid, _ in used):
        found.append(Metadata(name="process_name", pid=pid, tid=0, args={"name": processes[pid]}))
        found.append(Metadata(name="process_sort_index", pid=pid, tid=0, args={"sort_index": pid}))
    for pid, tid in used:
        found.append(Metadata(name="thread_name", pid=pid, tid=tid, args={"name": threads[pid, tid]}))
        found.append(Metadata(name="thread_sort_index", pid=pid, tid=tid, args={"sort_index": tid}))
    return found
