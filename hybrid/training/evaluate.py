"""Measure a checkpoint on labelled clips: the float model, or the quantised one as it is deployed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_confusion_matrix

from hybrid.datasets.records import LabelledClip
from hybrid.errors import BadInputError
from hybrid.executor import Outcome, run_items
from hybrid.graph import trace
from hybrid.model.checkpoint import Checkpoint
from hybrid.model.inputs import chip_values, input_ports, to_tensors
from hybrid.partition.extract import chip_layers, host_module
from hybrid.runtime.backends import check_names, executors
from hybrid.runtime.boundary import host_values
from hybrid.runtime.clip import load_clip
from hybrid.training.dataset import OnBad
from hybrid.video.transform import Views, first_steps
from snn_export.quantize import quantize

Forward = Callable[[Views], Tensor]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy on a set of clips.

    Attributes:
        backend: what ran the spiking part; `torch` is the float model.
        classes: labels in the order of the matrix.
        top1: share of clips whose label came first, 0 to 1.
        top5: share of clips whose label was among the first five (or all, where there are fewer).
        confusion: clips by true label (rows) and predicted label (columns).
        predictions: predicted label of every clip that could be used, in the order given.
    """

    backend: str
    classes: tuple[str, ...]
    top1: float
    top5: float
    confusion: tuple[tuple[int, ...], ...]
    predictions: tuple[str, ...]

    def per_class(self) -> tuple[ClassAccuracy, ...]:
        """How each class fared."""
        rows = []
        for i, label in enumerate(self.classes):
            clips, right = sum(self.confusion[i]), self.confusion[i][i]
            called = sum(row[i] for row in self.confusion)
            rows.append(ClassAccuracy(label, clips, _share(right, clips), _share(right, called)))
        return tuple(rows)


@dataclass(frozen=True, slots=True)
class ClassAccuracy:
    """One class of an evaluation.

    Attributes:
        label: its name.
        clips: clips of this class.
        recall: share of them that were called so; None without clips.
        precision: share of the clips called so that are of this class; None where none was called so.
    """

    label: str
    clips: int
    recall: float | None
    precision: float | None


def evaluate(
    checkpoint: Checkpoint,
    clips: Sequence[LabelledClip],
    backend: str,
    on_clip: Callable[[], None] = lambda: None,
    on_bad: OnBad | None = None,
    *,
    on_chip: Sequence[str] | None = None,
    gop_steps: int | None = None,
) -> Evaluation:
    """Predict every clip from its middle GOPs and centre crops; logits are averaged over the views.

    Args:
        checkpoint: the model.
        clips: what to measure on.
        backend: `torch` for the float model, else one of the backends of the spiking graph.
        on_clip: told after each clip.
        on_bad: told of a clip that cannot be used, which is then left out; without it such a clip is an error.
        on_chip: ops that the backend runs, the rest as floats; every spiking op without it.
        gop_steps: sample GOPs of at least so many P-frames, of which the model sees its own number; without it
            that number.

    Raises:
        BadInputError: for an unknown backend, no clips, or a clip that cannot be used.
    """
    with ExitStack() as stack:
        scorer = Scorer(checkpoint, backend, stack, on_chip=on_chip, gop_steps=gop_steps)
        return summarize(checkpoint.model.config.classes, backend, run_items(clips, scorer), on_clip, on_bad)


class Scorer:
    """The logits of a clip, the mean over its views.

    Args:
        checkpoint: the model.
        backend: as `evaluate` takes it.
        stack: what the backend needs ends with it.
        on_chip: as `evaluate` takes it.
        gop_steps: as `evaluate` takes it.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        backend: str,
        stack: ExitStack,
        *,
        on_chip: Sequence[str] | None = None,
        gop_steps: int | None = None,
    ) -> None:
        self._checkpoint, self._backend, self._stack, self._on_chip = checkpoint, backend, stack, on_chip
        self._config = checkpoint.model.config.input
        self._sampled = self._config.model_copy(update={"steps": gop_steps or self._config.steps})
        self._forward: Forward | None = None

    def __call__(self, clip: LabelledClip) -> Tensor:
        """The logits [classes].

        Raises:
            BadInputError: for an unknown backend, or a clip that cannot be used.
        """
        views = first_steps(load_clip(clip.path, self._sampled), self._config.steps)
        if self._forward is None:
            self._forward = _forward(self._checkpoint, views, self._backend, self._on_chip, self._stack)
        with torch.no_grad():
            return self._forward(views).mean(0)


def summarize(
    classes: tuple[str, ...],
    backend: str,
    outcomes: Iterable[Outcome[LabelledClip, Tensor]],
    on_clip: Callable[[], None],
    on_bad: OnBad | None,
) -> Evaluation:
    """Accuracy from the logits of every clip; the rest as `evaluate` says.

    Raises:
        BadInputError: where there are none, or for a clip that cannot be used.
    """
    scores, labels = [], []
    for outcome in outcomes:
        clip = outcome.item
        if isinstance(outcome.error, BadInputError) and on_bad is not None:
            on_bad(clip.path, outcome.error)
            continue
        scores.append(outcome.get())
        labels.append(classes.index(clip.label))
        on_clip()
    if not scores:
        raise BadInputError("clips", "there is nothing to evaluate on", "give a folder with clips")
    logits, truth = torch.stack(scores), torch.tensor(labels)
    predicted = logits.argmax(1)
    matrix = multiclass_confusion_matrix(predicted, truth, len(classes))
    top5 = multiclass_accuracy(logits, truth, len(classes), average="micro", top_k=min(5, len(classes)))
    return Evaluation(
        backend, classes, float((predicted == truth).float().mean()), float(top5),
        tuple(tuple(int(n) for n in row) for row in matrix), tuple(classes[int(i)] for i in predicted),
    )  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _forward(
    checkpoint: Checkpoint, example: Views, backend: str, on_chip: Sequence[str] | None, stack: ExitStack
) -> Forward:
    model, config = checkpoint.model, checkpoint.model.config.input
    if backend == "torch" or on_chip == ():
        return lambda views: torch.as_tensor(model(*to_tensors(views, config)))
    check_names([backend])
    graph = trace(model, to_tensors(example, config))
    if on_chip is None:
        on_chip = [op.name for op in graph.ops.values() if op.spiking]
    if not on_chip:
        raise BadInputError(backend, "the model has no spiking layer for it to run", "use --backend torch")
    layers = chip_layers(graph, on_chip)
    used = {layer.source for layer in layers}
    network = quantize([port for port in input_ports(config) if port.name in used], layers)
    module, names = host_module(graph, on_chip)
    run = stack.enter_context(executors(network))(backend)

    def forward(views: Views) -> Tensor:
        recording = run(chip_values(network, views), None)
        return torch.as_tensor(module(*host_values(network, recording, views, config, names)))

    return forward
