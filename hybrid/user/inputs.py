"""The inputs of a user's model: their shapes as the command line gives them, and their values from files."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from hybrid.errors import BadInputError
from hybrid.runtime.arrays import read_arrays
from snn_export.network import SpikingNetwork

RANDOM_RATE = 0.1
"""How likely each value of a random input is 1."""
SAMPLES = 2
"""Of a random input."""
FORM = "give numbers with commas, B where the batch goes (first without it): 11,2,32,32 or 11,B,2,32,32"


class ModelInput(BaseModel):
    """One input of a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="of the argument of forward")
    shape: tuple[int, ...] = Field(description="without the batch")
    batch_axis: int = Field(description="where the batch is in the argument")

    def full(self, batch: int) -> tuple[int, ...]:
        """The shape of the argument."""
        return (*self.shape[: self.batch_axis], batch, *self.shape[self.batch_axis :])


def declared_inputs(model: nn.Module, shapes: Sequence[str]) -> tuple[ModelInput, ...]:
    """The inputs that `--input-shape` declares, in the order of the arguments of forward.

    Raises:
        BadInputError: for what is no shape, or not as many shapes as arguments without a default.
    """
    arguments = inspect.signature(model.forward).parameters.values()
    required = [p.name for p in arguments if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(shapes) != len(required):
        what = f"{len(shapes)} shapes were given, and forward takes {', '.join(required) or 'nothing'}"
        raise BadInputError("--input-shape", what, f"give it once for each; {FORM}")
    return tuple(_parse(name, shape) for name, shape in zip(required, shapes, strict=True))


def network_inputs(network: SpikingNetwork, shapes: Sequence[str]) -> tuple[ModelInput, ...]:
    """The inputs of a network from a file, [B, T, *shape] each; `--input-shape` says how many steps.

    Raises:
        BadInputError: for a shape that is not steps and the port's own shape.
    """
    wanted = " and ".join(f"STEPS,{','.join(map(str, port.shape))}" for port in network.inputs)
    if len(shapes) != len(network.inputs):
        raise BadInputError("--input-shape", f"{len(shapes)} shapes were given", f"give {wanted}")
    found = tuple(_parse(port.name, shape) for port, shape in zip(network.inputs, shapes, strict=True))
    for port, declared in zip(network.inputs, found, strict=True):
        if declared.shape[1:] != port.shape or declared.batch_axis:
            raise BadInputError("--input-shape", f"{list(declared.shape)} is not what the file says", f"give {wanted}")
    return found


def example(inputs: Sequence[ModelInput], path: Path | None, seed: int = 0) -> dict[str, Tensor]:
    """Calibration inputs by name: those of a file, or random spikes.

    Raises:
        BadInputError: as `read_inputs`.
    """
    if path is not None:
        return read_inputs(inputs, path)
    generator = torch.Generator().manual_seed(seed)
    return {x.name: (torch.rand(x.full(SAMPLES), generator=generator) < RANDOM_RATE).float() for x in inputs}


def read_inputs(inputs: Sequence[ModelInput], path: Path) -> dict[str, Tensor]:
    """One array for each input, from a .npz or safetensors file, as float32 with its batch.

    A single sample may leave the batch out.

    Raises:
        BadInputError: for a file that cannot be read, other names, another shape, or values that are not finite.
    """
    return as_inputs(inputs, read_arrays(path), str(path))


def as_inputs(inputs: Sequence[ModelInput], arrays: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """`read_inputs` of arrays by name; `where` names their origin in errors.

    Raises:
        BadInputError: for other names, another shape, or values that are not finite.
    """
    if set(arrays) != {x.name for x in inputs}:
        wanted = ", ".join(f"{x.name!r} {list(x.shape)}" for x in inputs)
        raise BadInputError(where, f"it holds arrays named {sorted(arrays)}", f"give one for each of {wanted}")
    values = {x.name: _values(x, np.asarray(arrays[x.name]), f"{where}: {x.name}") for x in inputs}
    sizes = {values[x.name].shape[x.batch_axis] for x in inputs}
    if len(sizes) > 1:
        raise BadInputError(where, f"different numbers of samples: {sorted(sizes)}", "give all inputs the same")
    return values


def together(values: Mapping[str, Tensor], inputs: Sequence[ModelInput], samples: int) -> dict[str, Tensor]:
    """The first samples; of fewer, some again, since an exported program is traced on at least two."""
    found = {}
    for x in inputs:
        index = torch.arange(samples) % values[x.name].shape[x.batch_axis]
        found[x.name] = values[x.name].index_select(x.batch_axis, index)
    return found


def _parse(name: str, text: str) -> ModelInput:
    parts = [part.strip() for part in text.split(",")]
    axis = parts.index("B") if "B" in parts else 0
    sizes = [part for part in parts if part != "B"]
    if len(parts) - len(sizes) > 1 or not all(part.isdecimal() and int(part) > 0 for part in sizes):
        raise BadInputError("--input-shape", f"{text!r} is no shape", FORM)
    return ModelInput(name=name, shape=tuple(int(part) for part in sizes), batch_axis=axis)


def _values(wanted: ModelInput, array: np.ndarray, where: str) -> Tensor:  # type: ignore[type-arg]
    if array.dtype.kind not in "iubf" or not np.isfinite(array).all():
        raise BadInputError(where, f"values of type {array.dtype}, not all finite numbers", "give finite numbers")
    tensor = torch.from_numpy(np.ascontiguousarray(array)).float()
    if tuple(tensor.shape) == wanted.shape:
        tensor = tensor.unsqueeze(wanted.batch_axis)
    batch = tensor.shape[wanted.batch_axis] if tensor.dim() == len(wanted.shape) + 1 else 0
    if batch < 1 or tuple(tensor.shape) != wanted.full(batch):
        sizes = [*map(str, wanted.shape)]
        sizes.insert(wanted.batch_axis, "samples")
        raise BadInputError(where, f"array of shape {list(array.shape)}", f"give [{', '.join(sizes)}]")
    return tensor
