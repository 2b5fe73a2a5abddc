"""How often a user's model is right with its chip part in integers, on labelled arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwsim import engine
from hybrid.errors import BadInputError
from hybrid.graph import ModelGraph
from hybrid.partition.extract import chip_network, delays, feed_module, host_module
from hybrid.runtime.arrays import read_arrays
from hybrid.runtime.simulate import to_integer_network
from hybrid.user.boundary import as_result, port_array
from hybrid.user.compile import Job, values_of
from hybrid.user.inputs import ModelInput, as_inputs

LABELS = "labels"
"""Name of the array of labels in a file."""


def read_labelled(inputs: Sequence[ModelInput], path: Path) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs by name, and the class of each sample, int64 [N], from the array `labels` of the same file.

    Raises:
        BadInputError: for a file that cannot be read, inputs that do not fit, or labels that are no class numbers.
    """
    arrays = dict(read_arrays(path))
    labels = np.asarray(arrays.pop(LABELS, ()))
    values = as_inputs(inputs, arrays, str(path))
    samples = values[inputs[0].name].shape[inputs[0].batch_axis]
    if labels.shape != (samples,) or labels.dtype.kind not in "iu" or labels.min() < 0:
        what = f"{LABELS!r} is of shape {list(labels.shape)} and type {labels.dtype}"
        raise BadInputError(str(path), what, f"give the class of each of {samples} samples as an array of integers")
    return values, torch.from_numpy(labels.astype(np.int64))


def top1(scores: Tensor, labels: Tensor, name: str) -> float:
    """Share of samples whose class has the largest score.

    Raises:
        BadInputError: for scores that are not [samples, classes], or labels beyond them.
    """
    if scores.dim() != 2 or int(labels.max()) >= scores.shape[1]:
        what = f"its first output is of shape {list(scores.shape)}, and the labels go up to {int(labels.max())}"
        raise BadInputError(name, what, "an accuracy needs scores [samples, classes]; leave --data out")
    return float((scores.argmax(1) == labels).float().mean())


def predict(job: Job, graph: ModelGraph, on_chip: Sequence[str], inputs: Mapping[str, Tensor]) -> Tensor:
    """The model's first output with the ops `on_chip` in integers, scaled by the job's calibration inputs.

    Raises:
        BadInputError: where a port takes spikes and is given other values.
    """
    given = dict(inputs)
    with torch.no_grad():
        if not on_chip:
            return _first(graph.module(*(given[x.name] for x in job.inputs)))
        float_network = chip_network(graph, on_chip)
        known = values_of(graph, job)
        scaled, _, _ = to_integer_network(
            float_network, {port.name: port_array(port, known[port.name]) for port in float_network.inputs}
        )
        fed = tuple(port.name for port in scaled.inputs if graph.ops[port.name].kind != "input")
        if fed:
            feed, names = feed_module(graph, fed)
            given |= zip(fed, feed(*(given[name] for name in names)), strict=True)
        values = {port.name: port_array(port, given[port.name]) for port in scaled.inputs}
        recording = engine.run(scaled, values).recording
        late, (module, names) = delays(graph, on_chip), host_module(graph, on_chip)
        return _first(
            module(
                *(
                    as_result(scaled, recording, name, graph.ops[name].shape, late[name]) if name in late
                    else given[name]
                    for name in names
                )
            )
        )  # fmt: skip


def _first(result: Tensor | Sequence[Tensor]) -> Tensor:
    return result if isinstance(result, Tensor) else result[0]
