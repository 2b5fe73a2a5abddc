"""What is swept: a video model or a user's own, at any interval, with labelled samples or without."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from hybrid.compile import trace_model
from hybrid.datasets.folder import folder as load_folder
from hybrid.datasets.records import LabelledClip
from hybrid.errors import BadInputError
from hybrid.graph import ModelGraph
from hybrid.model.checkpoint import Checkpoint, load_checkpoint
from hybrid.model.hybrid_model import HybridModel
from hybrid.runtime.clip import load_clip
from hybrid.training.scorer import Scorer
from hybrid.training.splits import split
from hybrid.user.compile import Job, trace_user
from hybrid.user.evaluate import predict, read_labelled, top1
from hybrid.user.inputs import ModelInput
from hybrid.user.job import make_job
from hybrid.video.transform import Views, first_steps

Traced = tuple[ModelGraph, Mapping[str, int]]
"""A graph, and bits of a value of each graded input."""
Accuracy = tuple[float, int]
"""Share of samples that are right, and how many samples there are."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the command line says of a model, from which any process can load it.

    Attributes:
        model: a checkpoint, PACKAGE.MODULE:FACTORY, or a NIR or netx file.
        weights: of a factory's model.
        shapes: of a user's model's inputs.
        calibration: a real clip, or arrays for a user's model.
        data: labelled clips (a folder, or a CSV file beside them), or labelled arrays.
        cache: folder for prepared clips, which every split is measured on.
    """

    model: str
    weights: Path | None = None
    shapes: tuple[str, ...] = ()
    calibration: Path | None = None
    data: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class VideoSubject:
    """The video model of a checkpoint.

    Attributes:
        name: of the model.
        sha256: hash of the model, its calibration and the labelled data.
        steps: P-frames per GOP that it was trained with.
        checkpoint: the model.
        views: of the calibration clip.
        clips: labelled ones; may be empty.
        cache: folder for prepared clips.
    """

    name: str
    sha256: str
    steps: int
    checkpoint: Checkpoint
    views: Views
    clips: tuple[LabelledClip, ...]
    cache: Path | None

    def trace(self, interval: int) -> Traced:
        """The model on the first P-frames of the calibration clip's GOPs."""
        return trace_model(self._shortened(interval), first_steps(self.views, interval))

    def accuracy(self, interval: int, graph: ModelGraph, on_chip: Sequence[str]) -> Accuracy | None:
        """On the first P-frames of the same GOPs for every interval, by the chip simulator."""
        if not self.clips:
            return None
        # in another order for every split: workers that begin together would prepare the same clips
        clips = random.Random(f"{interval} {on_chip}").sample(self.clips, len(self.clips))
        with ExitStack() as stack:
            scorer = Scorer(
                self._shortened(interval), "hwsim", stack,
                on_chip=on_chip, gop_steps=self.steps, cache=self.cache,
            )  # fmt: skip
            scores = torch.stack([scorer(clip) for clip in clips])
        classes = self.checkpoint.model.config.classes
        labels = torch.tensor([classes.index(clip.label) for clip in clips])
        return top1(scores, labels, self.name), len(labels)

    def _shortened(self, interval: int) -> Checkpoint:
        """The same weights in a model of fewer steps: no parameter depends on their number."""
        trained = self.checkpoint.model
        taken = trained.config.input.model_copy(update={"steps": interval})
        model = HybridModel(trained.config.model_copy(update={"input": taken}))
        model.load_state_dict(trained.state_dict())
        return Checkpoint(model.eval(), self.checkpoint.notes, self.checkpoint.sha256)


@dataclass(frozen=True, slots=True, eq=False)
class UserSubject:
    """A user's model.

    Attributes:
        name: of the model.
        sha256: hash of the model, its calibration and the labelled data.
        steps: time steps of the inputs that it was declared with.
        job: the model.
        labelled: inputs by name and the class of each sample; or None.
    """

    name: str
    sha256: str
    steps: int
    job: Job
    labelled: tuple[dict[str, Tensor], Tensor] | None

    def trace(self, interval: int) -> Traced:
        """The model on the first steps of its calibration inputs."""
        return trace_user(self._shortened(interval)[0])

    def accuracy(self, interval: int, graph: ModelGraph, on_chip: Sequence[str]) -> Accuracy | None:
        """On the first steps of the labelled arrays, by the chip simulator."""
        if self.labelled is None:
            return None
        job, values = self._shortened(interval)
        labels = self.labelled[1]
        return top1(predict(job, graph, on_chip, values), labels, self.name), len(labels)

    def _shortened(self, interval: int) -> tuple[Job, dict[str, Tensor]]:
        """Job and labelled values cut to the first steps of every input that has time as its first or last axis."""
        steps, values = self.steps, {} if self.labelled is None else dict(self.labelled[0])
        if interval == steps:
            return self.job, values
        inputs, calibration = [], dict(self.job.values)
        for declared in self.job.inputs:
            axis = next((i for i in (0, len(declared.shape) - 1) if declared.shape[i] == steps), None)
            if axis is None:
                inputs.append(declared)
                continue
            shape = tuple(interval if i == axis else size for i, size in enumerate(declared.shape))
            inputs.append(declared.model_copy(update={"shape": shape}))
            for given in (calibration, values):
                if declared.name in given:
                    given[declared.name] = _narrow(given[declared.name], declared, axis, interval)
        if tuple(inputs) == self.job.inputs:
            what = f"no input has the model's {steps} steps as its first or last axis"
            raise BadInputError("--interval", what, f"leave it out, or give {steps}")
        return replace(self.job, inputs=tuple(inputs), values=calibration), values


def _narrow(values: Tensor, declared: ModelInput, axis: int, steps: int) -> Tensor:
    return values.narrow(axis + (declared.batch_axis <= axis), 0, steps)


Subject = VideoSubject | UserSubject


@lru_cache(maxsize=1)
def load_subject(source: Source) -> Subject:
    """Load what is swept, once per process.

    Raises:
        BadInputError: for a model, calibration or data that cannot be used.
    """
    job = make_job(source.model, source.weights, source.shapes, source.calibration)
    if job is not None:
        labelled = None if source.data is None else read_labelled(job.inputs, source.data)
        return UserSubject(job.name, _hash_job(job, labelled), _steps_of(job), job, labelled)
    if source.calibration is None:
        raise BadInputError("--calibrate", "a checkpoint needs a real clip", "add --calibrate clip.avi")
    checkpoint = load_checkpoint(Path(source.model))
    clips = () if source.data is None else _labelled_clips(source.data, checkpoint)
    views = load_clip(source.calibration, checkpoint.model.config.input)
    digest = hashlib.sha256(checkpoint.sha256.encode() + source.calibration.read_bytes())
    for clip in clips:
        digest.update(f"{clip.path.name} {clip.label} {clip.path.stat().st_size}\n".encode())
    config = checkpoint.model.config
    return VideoSubject(config.name, digest.hexdigest(), config.input.steps, checkpoint, views, clips, source.cache)


def _labelled_clips(data: Path, checkpoint: Checkpoint) -> tuple[LabelledClip, ...]:
    """The test clips where the data set has such, else all."""
    dataset = load_folder(data) if data.is_dir() else load_folder(data.parent, data)
    known = checkpoint.model.config.classes
    for clip in dataset.clips:
        if clip.label not in known:
            fix = f"use clips of {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"
            raise BadInputError(str(clip.path), f"{clip.label!r} is no class of the model", fix)
    return split(dataset, 0.0)[1] or dataset.clips


def _steps_of(job: Job) -> int:
    graph, _ = trace_user(job)
    return max((op.steps for op in graph.ops.values()), default=1) or 1


def _hash_job(job: Job, labelled: tuple[dict[str, Tensor], Tensor] | None) -> str:
    digest = hashlib.sha256(f"{job.name} {job.notes['sha256']} {job.inputs}".encode())
    values = [job.values, *(() if labelled is None else (labelled[0], {"": labelled[1]}))]
    for name, tensor in (item for group in values for item in sorted(group.items())):
        digest.update(name.encode() + torch.as_tensor(tensor).contiguous().numpy().tobytes())
    return digest.hexdigest()
