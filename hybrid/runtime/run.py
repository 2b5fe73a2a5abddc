"""Run a bundle on videos and account for everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from ann_part.measure import measure, resolve_device
from hwsim import engine
from hwsim.timing import step_times
from hybrid.bundle import Bundle
from hybrid.errors import BadInputError
from hybrid.model.inputs import chip_values
from hybrid.report.build import build_report
from hybrid.report.model import Band, Prediction, Report, VideoResult
from hybrid.runtime import account
from hybrid.runtime.backends import BACKENDS, Run, check_equal, executors
from hybrid.runtime.boundary import host_values
from hybrid.runtime.clip import load_clip

ANN_REPEATS = 7
"""Timed runs of the ANN part; the median counts, the extremes are the band."""

Tell = Callable[[str, int, int], None]


def run_videos(
    bundle: Bundle,
    videos: Sequence[Path],
    *,
    backend: str = "hwsim",
    check: Sequence[str] = (),
    not_checked: Mapping[str, str] | None = None,
    device: str = "auto",
    tell: Tell = lambda what, done, total: None,
) -> Report:
    """Classify each video once, its spiking part on `backend`; counts and prices come from the simulator.

    Args:
        bundle: the compiled model.
        videos: files to classify.
        backend: what runs the spiking part.
        check: further backends to compare with, bit for bit, every layer and step.
        not_checked: backends that the caller left out, and why; goes into the report.
        device: where the ANN part runs: `cpu`, `cuda` or `auto`.
        tell: told (what, done, of how many).

    Raises:
        BadInputError: for an unknown backend or an unusable video.
        ann_part.measure.DeviceError: for a device that is not there.
        VerificationError: at the first bit in which two backends differ.
        snn_export.lava.LavaError: where Lava was asked for and cannot run.
    """
    for name in (backend, *check):
        if name not in BACKENDS:
            raise BadInputError(name, "there is no such backend", f"use one of {', '.join(BACKENDS)}")
    if not videos:
        raise BadInputError("videos", "no video was given", "name at least one file")
    where = resolve_device(device)
    results = []
    device_words = ""
    with executors(bundle.network) as executor:
        for number, video in enumerate(videos):
            tell(video.name, number, len(videos))
            result, device_words = _run_video(bundle, video, backend, check, executor, where, tell)
            results.append(result)
    names = tuple(dict.fromkeys((backend, *check)))
    return build_report(bundle, tuple(results), backend, names if check else (), not_checked or {}, device_words)


def _run_video(
    bundle: Bundle,
    video: Path,
    backend: str,
    check: Sequence[str],
    executor: Callable[[str], Run],
    device: torch.device,
    tell: Tell,
) -> tuple[VideoResult, str]:
    manifest, network, mapping, config = bundle.manifest, bundle.network, bundle.mapping, bundle.video_model()
    begin = time.perf_counter()
    views = load_clip(video, config.input)
    read_s = time.perf_counter() - begin
    inputs = chip_values(network, views)
    simulated = engine.run(network, inputs, mapping)
    if simulated.counts is None:
        raise RuntimeError("the simulator was given a mapping and counted nothing")
    recording = simulated.recording if backend == "hwsim" else executor(backend)(inputs, None)
    for other in dict.fromkeys(check):
        if other != backend:
            what = f"{video.name} on {other}"
            tell(what, 0, 1)
            found = executor(other)(inputs, partial(tell, what))
            check_equal(network, recording, found, (backend, other))
    values = host_values(network, recording, views, config.input, manifest.host_inputs)
    measured = measure(bundle.ann, values, device, ANN_REPEATS)
    probabilities = measured.output.mean(0).softmax(0)  # the consensus that the model was trained with
    crossing = tuple(name for name in manifest.host_inputs if name in network.shapes and name not in inputs)
    usage = account.Usage(
        counts=simulated.counts,
        traffic=account.traffic_of(network, inputs, crossing, simulated.counts, manifest.link),
        ann=measured,
        ann_macs=manifest.host_macs * len(views.iframe),
        ann_weight_bytes=manifest.host_weight_bytes,
        read_s=read_s,
    )
    timing = step_times(manifest.chip, mapping, simulated.counts)
    stages = account.stages_of(usage, timing, manifest.link)
    classes = config.classes
    steps = timing.step.mean(0)
    result = VideoResult(
        video=str(video),
        prediction=Prediction(
            label=classes[int(probabilities.argmax())],
            probabilities={label: float(p) for label, p in zip(classes, probabilities, strict=True)},
        ),
        exact=True if check else None,
        counts=account.counts_of(usage),
        energy_j=account.energy_of(usage, manifest.chip, mapping, timing, manifest.host, manifest.link),
        latency_s=account.latency_of(usage, network, timing, manifest.link),
        throughput_vps=Band.of(account.throughput_of(stages)),
        stages_s={name: Band.of(seconds) for name, seconds in stages.items()},
        step_s=tuple(
            Band(low=low, nominal=nominal, high=high)
            for low, nominal, high in zip(steps.low, steps.nominal, steps.high, strict=True)
        ),
        core_load=tuple(timing.core.nominal.sum((0, 1)).tolist()),
        timeline=account.timeline_of(usage, network, timing, manifest.link),
    )
    return result, measured.device
