"""One clip through a bundle: spiking part, ANN part, and what both did."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ann_part.measure import Measurement, forward, measure
from ann_part.precision import Precision
from ann_part.tuned import Tuned
from hwsim.engine import Counts, Engine
from hwsim.engine.counts import join
from hwsim.quantity import Range
from hwsim.timing import Timing, step_times
from hybrid.bundle import Bundle
from hybrid.model.inputs import chip_values
from hybrid.report.model import Band, Prediction, VideoResult
from hybrid.runtime import account
from hybrid.runtime.backends import Run, check_equal
from hybrid.runtime.boundary import host_values
from hybrid.video.transform import Views

CHUNK_VALUES = 2**25
"""Values of all ports and layers over all steps that are recorded at a time, unless one GOP has more."""

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Boundary:
    """What the chip did for some GOPs, and what it gave to the host.

    Attributes:
        values: the inputs of the ANN program, in order.
        counts: events on the chip.
        traffic: bytes over the link.
    """

    values: tuple[Tensor, ...]
    counts: Counts
    traffic: account.Traffic


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """One clip.

    Attributes:
        scores: logits of every view [V, classes].
        usage: everything that was done.
        timing: of the chip.
        views: the clip.
        values: the inputs of the ANN program.
    """

    scores: Tensor
    usage: account.Usage
    timing: Timing
    views: Views
    values: tuple[Tensor, ...]

    @property
    def device(self) -> str:
        """What ran the ANN part, in words."""
        return self.usage.ann.device


class Classifier:
    """A bundle made ready to run many clips.

    Args:
        bundle: the compiled model.
        executor: gives the backends of its network by name.
        backend: what runs the spiking part; counts and prices come from the simulator in any case.
        check: further backends to compare with, bit for bit, every layer and step.
        device: where the ANN part runs.
        repeats: timed runs of the ANN part, on the first clip.
        precision: of the ANN part; fp32 where it gives no finite numbers.
        warn: told of that.
    """

    def __init__(
        self,
        bundle: Bundle,
        executor: Callable[[str], Run],
        *,
        backend: str,
        check: Sequence[str],
        device: torch.device,
        repeats: int,
        precision: Precision = "fp32",
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        network, names = bundle.network, bundle.manifest.host_inputs
        self._bundle, self._executor, self._backend = bundle, executor, backend
        self._others = [other for other in dict.fromkeys(check) if other != backend]
        self._device, self._repeats, self._precision, self._warn = device, repeats, precision, warn
        self._timed: dict[Precision, Measurement] = {}
        self._ann = Tuned(bundle.ann, warn=warn)
        ports = {port.name for port in network.inputs}
        self._crossing = tuple(name for name in names if name in network.shapes and name not in ports)
        self._engine = Engine(network, bundle.mapping, device.type)
        spikes_cross = not all(network.layer(name).neuron.readout for name in self._crossing)
        self._record_all = backend == "hwsim" and (bool(self._others) or spikes_cross)

    @property
    def timed(self) -> dict[Precision, Measurement]:
        """How long the ANN part took in each precision so far; without what it gave."""
        return {precision: replace(found, output=torch.empty(0)) for precision, found in self._timed.items()}

    def take(self, timed: Mapping[Precision, Measurement]) -> None:
        """Hold times that another process measured for true here, where none was measured yet."""
        self._timed = {**timed, **self._timed}

    def classify(self, views: Views, read_s: float, name: str, tell: Tell) -> Classified:
        """Run one clip.

        Args:
            views: of the clip.
            read_s: seconds that reading it took.
            name: of the clip, for `tell`.
            tell: told (what, done, of how many) while a backend is compared.

        Raises:
            VerificationError: at the first bit in which two backends differ.
            snn_export.lava.LavaError: where Lava fails.
        """
        manifest = self._bundle.manifest
        found = self.cross(views, name, tell)
        measured = self.finish(found)
        work = host_work(self._bundle, len(views.iframe))
        usage = account.Usage(found.counts, found.traffic, measured, work, read_s)
        timing = step_times(manifest.chip, self._bundle.mapping, found.counts)
        return Classified(measured.output, usage, timing, views, found.values)

    def cross(self, views: Views, name: str, tell: Tell) -> Boundary:
        """The spiking part alone, some GOPs at a time so that memory stays bounded."""
        network = self._bundle.network
        steps = views.motion.shape[1]
        values = sum(int(np.prod(shape)) for shape in network.shapes.values()) * steps
        size = max(1, CHUNK_VALUES // values)
        parts = [self._chunk(views, slice(g, g + size), name, tell) for g in range(0, len(views.iframe), size)]
        if len(parts) == 1:
            return parts[0]
        traffic = account.Traffic(
            np.concatenate([p.traffic.to_chip for p in parts]), np.concatenate([p.traffic.to_host for p in parts])
        )
        joined = tuple(torch.cat(tensors) for tensors in zip(*(p.values for p in parts), strict=True))
        return Boundary(joined, join([p.counts for p in parts]), traffic)

    def finish(self, found: Boundary) -> Measurement:
        """The ANN part. It does the same work for every clip: the first time in a precision holds for all of them."""
        ann, values, device = self._ann, found.values, self._device
        if not self._timed:
            first = measure(ann, values, device, self._repeats, self._precision, self._warn)
            self._timed[first.precision] = first
            return first
        output, used = forward(ann, values, device, self._precision, self._warn)
        if used not in self._timed:
            self._timed[used] = measure(ann, values, device, self._repeats, used)
        return replace(self._timed[used], output=output)

    def _chunk(self, views: Views, part: slice, name: str, tell: Tell) -> Boundary:
        network, manifest = self._bundle.network, self._bundle.manifest
        views = Views(views.iframe[part], views.motion[part], views.residual[part])
        inputs = chip_values(network, views)
        simulated = self._engine.run(inputs, "all" if self._record_all else "readout")
        if simulated.counts is None:
            raise RuntimeError("the simulator was given a mapping and counted nothing")
        own = self._backend == "hwsim"
        recording = simulated.recording if own else self._executor(self._backend)(inputs, None)
        for other in self._others:
            what = f"{name} on {other}"
            tell(what, 0, 1)
            found = self._executor(other)(inputs, partial(tell, what))
            check_equal(network, recording, found, (self._backend, other), first_gop=part.start)
        values = host_values(network, recording, views, self._bundle.video_model().input, manifest.host_inputs)
        traffic = account.traffic_of(network, inputs, self._crossing, simulated.counts, manifest.link)
        return Boundary(values, simulated.counts, traffic)


def host_work(bundle: Bundle, views: int) -> account.HostWork:
    """What the host computes of a clip of so many views."""
    manifest = bundle.manifest
    planned = [op["host_j"] for op in manifest.plan["ops"] if op["target"] == "host"]
    joules = Range(*(sum(j[edge] for j in planned) * views for edge in ("low", "nominal", "high")))
    return account.HostWork(manifest.host_macs * views, manifest.host_weight_bytes, joules)


def prediction_of(scores: Tensor, classes: Sequence[str]) -> Prediction:
    """The prediction from the logits of some views [V, classes]: their mean, the consensus that models train with."""
    shares = scores.mean(0).softmax(0)
    named = {label: float(share) for label, share in zip(classes, shares, strict=True)}
    return Prediction(label=classes[int(shares.argmax())], probabilities=named)


def result_of(bundle: Bundle, video: str, classified: Classified, exact: bool | None) -> VideoResult:
    """Everything that is reported of one video."""
    manifest, usage, timing = bundle.manifest, classified.usage, classified.timing
    stages = account.stages_of(usage, timing, manifest.link)
    steps = timing.step.mean(0)
    return VideoResult(
        video=video,
        prediction=prediction_of(classified.scores, bundle.video_model().classes),
        precision=usage.ann.precision,
        exact=exact,
        counts=account.counts_of(usage),
        energy_j=account.energy_of(usage, manifest.chip, bundle.mapping, timing, manifest.host, manifest.link),
        latency_s=account.latency_of(usage, bundle.network, timing, manifest.link),
        throughput_vps=Band.of(account.throughput_of(stages)),
        stages_s={name: Band.of(seconds) for name, seconds in stages.items()},
        step_s=tuple(
            Band(low=low, nominal=nominal, high=high)
            for low, nominal, high in zip(steps.low, steps.nominal, steps.high, strict=True)
        ),
        core_load=tuple(timing.core.nominal.sum((0, 1)).tolist()),
        timeline=account.timeline_of(usage, bundle.network, timing, manifest.link),
    )
