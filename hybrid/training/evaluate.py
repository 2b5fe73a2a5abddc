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
from hybrid.model.checkpoint import Checkpoint
from hybrid.training.dataset import OnBad
from hybrid.training.scorer import Scorer


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
) -> Evaluation:
    """Predict every clip from its middle GOPs and centre crops; logits are averaged over the views.

    Args:
        checkpoint: the model.
        clips: what to measure on.
        backend: `torch` for the float model, else one of the backends of the spiking graph.
        on_clip: told after each clip.
        on_bad: told of a clip that cannot be used, which is then left out; without it such a clip is an error.

    Raises:
        BadInputError: for an unknown backend, no clips, or a clip that cannot be used.
    """
    with ExitStack() as stack:
        outcomes = run_items(clips, Scorer(checkpoint, backend, stack))
        return summarize(checkpoint.model.config.classes, backend, outcomes, on_clip, on_bad)


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
