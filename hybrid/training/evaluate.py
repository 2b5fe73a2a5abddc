"""Measure a checkpoint on labelled clips: the float model, or the quantised one as it is deployed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from hybrid.errors import BadInputError
from hybrid.graph import trace
from hybrid.model.checkpoint import Checkpoint
from hybrid.model.inputs import chip_values, input_ports, to_tensors
from hybrid.partition.extract import chip_layers, host_module
from hybrid.runtime.backends import BACKENDS, executors
from hybrid.runtime.boundary import host_values
from hybrid.runtime.clip import load_clip
from hybrid.training.dataset import Clip
from hybrid.video.transform import Views
from snn_export.quantize import quantize

Forward = Callable[[Views], Tensor]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracy on a set of clips.

    Attributes:
        backend: what ran the spiking part; `torch` is the float model.
        top1: share of clips whose label came first, 0 to 1.
        confusion: clips by true label (rows) and predicted label (columns).
    """

    backend: str
    top1: float
    confusion: tuple[tuple[int, ...], ...]


def evaluate(
    checkpoint: Checkpoint, clips: Sequence[Clip], backend: str, on_clip: Callable[[], None] = lambda: None
) -> Evaluation:
    """Predict every clip from its middle GOPs and centre crops; logits are averaged over the views.

    Args:
        checkpoint: the model.
        clips: what to measure on.
        backend: `torch` for the float model, else one of the backends of the spiking graph.
        on_clip: told after each clip.

    Raises:
        BadInputError: for an unknown backend, no clips, or a clip that cannot be used.
    """
    if not clips:
        raise BadInputError("clips", "there is nothing to evaluate on", "give a folder with clips")
    config, classes = checkpoint.model.config.input, checkpoint.model.config.classes
    forward: Forward | None = None
    truth, predicted = [], []
    with ExitStack() as stack:
        for clip in clips:
            views = load_clip(clip.path, config)
            forward = forward or _forward(checkpoint, views, backend, stack)
            with torch.no_grad():
                predicted.append(int(forward(views).mean(0).argmax()))
            truth.append(classes.index(clip.label))
            on_clip()
    matrix = multiclass_confusion_matrix(torch.tensor(predicted), torch.tensor(truth), len(classes))
    top1 = float(matrix.diagonal().sum() / matrix.sum())
    return Evaluation(backend, top1, tuple(tuple(int(n) for n in row) for row in matrix))


def _forward(checkpoint: Checkpoint, example: Views, backend: str, stack: ExitStack) -> Forward:
    model, config = checkpoint.model, checkpoint.model.config.input
    if backend == "torch":
        return lambda views: torch.as_tensor(model(*to_tensors(views, config)))
    if backend not in BACKENDS:
        raise BadInputError(backend, "there is no such backend", f"use torch or one of {', '.join(BACKENDS)}")
    graph = trace(model, to_tensors(example, config))
    on_chip = [op.name for op in graph.ops.values() if op.spiking]
    network = quantize(input_ports(config), chip_layers(graph, on_chip))
    module, names = host_module(graph, on_chip)
    run = stack.enter_context(executors(network))(backend)

    def forward(views: Views) -> Tensor:
        recording = run(chip_values(network, views), None)
        return torch.as_tensor(module(*host_values(network, recording, views, config, names)))

    return forward
