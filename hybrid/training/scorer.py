"""The logits of a clip: by the float model, or by the quantised one with some of its ops on a chip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from hybrid.datasets.records import LabelledClip
from hybrid.errors import BadInputError
from hybrid.graph import trace
from hybrid.model.checkpoint import Checkpoint
from hybrid.model.inputs import chip_values, input_ports, to_tensors
from hybrid.partition.extract import chip_layers, host_module
from hybrid.runtime.backends import check_names, executors
from hybrid.runtime.boundary import host_values
from hybrid.runtime.clip import load_clip
from hybrid.video.transform import Views, first_steps
from snn_export.quantize import quantize

Forward = Callable[[Views], Tensor]


class Scorer:
    """The logits of a clip, from its middle GOPs and centre crops: the mean over the views.

    Args:
        checkpoint: the model.
        backend: `torch` for the float model, else one of the backends of the spiking graph.
        stack: what the backend needs ends with it.
        on_chip: ops that the backend runs, the rest as floats; every spiking op without it.
        gop_steps: sample GOPs of at least so many P-frames, of which the model sees its own number; without it
            that number.
        cache: folder for prepared clips, where the next scorer finds them.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        backend: str,
        stack: ExitStack,
        *,
        on_chip: Sequence[str] | None = None,
        gop_steps: int | None = None,
        cache: Path | None = None,
    ) -> None:
        self._checkpoint, self._backend, self._stack, self._on_chip = checkpoint, backend, stack, on_chip
        self._cache = cache
        self._config = checkpoint.model.config.input
        self._sampled = self._config.model_copy(update={"steps": gop_steps or self._config.steps})
        self._forward: Forward | None = None

    def __call__(self, clip: LabelledClip) -> Tensor:
        """The logits [classes].

        Raises:
            BadInputError: for an unknown backend, or a clip that cannot be used.
        """
        views = first_steps(load_clip(clip.path, self._sampled, self._cache), self._config.steps)
        if self._forward is None:
            self._forward = _forward(self._checkpoint, views, self._backend, self._on_chip, self._stack)
        with torch.no_grad():
            return self._forward(views).mean(0)


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
