"""A prediction per GOP of a stream that is still coming in: one GOP in memory, whatever the length."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybrid.bundle import Bundle
from hybrid.report.model import Band, Precision, Prediction
from hybrid.runtime import account
from hybrid.runtime.classify import Classifier, prediction_of
from hybrid.runtime.clip import gop_views
from hybrid.video import Gop, read
from hybrid.video.reader import Source


class GopResult(BaseModel):
    """One line of the output: what is known when a GOP is complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gop: int = Field(description="number in the stream, from 0")
    time_s: float | None = Field(description="presentation time of its last frame that counts; null where unknown")
    skipped: str | None = Field(default=None, description="why it has no prediction")
    prediction: Prediction | None = Field(default=None, description="of this GOP alone")
    so_far: Prediction | None = Field(default=None, description="the consensus of all GOPs up to here")
    precision: Precision | None = Field(default=None, description="of the ANN part")
    energy_j: Band | None = Field(default=None, description="of this GOP, modelled")
    response_s: Band | None = Field(default=None, description="after its last P-frame, ANN measured, rest modelled")
    synops: int | None = None
    spikes: int | None = None


def classify_stream(bundle: Bundle, source: Source, classifier: Classifier) -> Iterator[GopResult]:
    """Every GOP as soon as its last P-frame is there; damaged ones are left out, too short ones are skipped.

    Args:
        bundle: that the classifier runs.
        source: an open stream, a file that is being written, or a path.
        classifier: runs one GOP at a time; the ANN part is timed on the first one.

    Raises:
        BadInputError: for a stream that is no video, or whose motion cannot be traced back.
        VerificationError: at the first bit in which two backends differ.
    """
    config, total, count = bundle.video_model().input, None, 0
    for gop in read(source, accumulate=config.accumulated, strict=False, max_steps=config.steps):
        if gop.steps < config.steps:
            skipped = f"it has {gop.steps} of {config.steps} P-frames"
            yield GopResult(gop=gop.index, time_s=_time(gop), skipped=skipped)
            continue
        result, scores = _classify(bundle, gop, classifier)
        total, count = scores if total is None else total + scores, count + 1
        yield result.model_copy(update={"so_far": prediction_of(total / count, bundle.video_model().classes)})


def _classify(bundle: Bundle, gop: Gop, classifier: Classifier) -> tuple[GopResult, Tensor]:
    manifest, model = bundle.manifest, bundle.video_model()
    name = f"GOP {gop.index}"
    found = classifier.classify(gop_views(gop, model.input), 0.0, name, lambda what, done, total: None)
    usage, timing = found.usage, found.timing
    energy = account.energy_of(usage, manifest.chip, bundle.mapping, timing, manifest.host, manifest.link)
    result = GopResult(
        gop=gop.index,
        time_s=_time(gop),
        prediction=prediction_of(found.scores, model.classes),
        precision=usage.ann.precision,
        energy_j=Band(low=energy.low, nominal=energy.nominal, high=energy.high),
        response_s=account.latency_of(usage, bundle.network, timing, manifest.link).response,
        synops=int(usage.counts.synops.sum()),
        spikes=int(usage.counts.spikes.sum()),
    )
    return result, found.scores


def _time(gop: Gop) -> float | None:
    last = float(gop.times[-1])
    return last if last == last else None  # NaN where the stream has no times
