"""Checkpoints: weights as safetensors, with the config and what is known of the training in the metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.overrides import TorchFunctionMode

from hybrid.errors import BadInputError
from hybrid.files import make_folder, write_aside
from hybrid.model.config import ModelConfig, validate_config
from hybrid.model.hybrid_model import HybridModel


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A model read from disk.

    Attributes:
        model: in evaluation mode.
        notes: training command, seed, accuracy: whatever was written beside the weights.
        sha256: hash of the file.
    """

    model: HybridModel
    notes: Mapping[str, str]
    sha256: str


def save_checkpoint(model: HybridModel, path: Path, notes: Mapping[str, str]) -> None:
    """Write weights, config and `notes` to one safetensors file, aside and then renamed.

    Raises:
        HybridError: where it cannot be written.
    """
    metadata = {"config": model.config.model_dump_json(), **notes}
    weights = {name: tensor.contiguous().cpu() for name, tensor in model.state_dict().items()}
    make_folder(path.parent)
    # not save_file, which makes a temporary file of its own there and leaves it when it is killed
    write_aside(path, save(weights, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises:
        BadInputError: where the file is missing, no checkpoint, or does not fit its own config.
    """
    if not path.is_file():
        raise BadInputError(str(path), "there is no such checkpoint", "check the path, or train one: hybrid train")
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        config = validate_config(json.loads(notes.pop("config")), str(path))
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise BadInputError(
            str(path), f"not a checkpoint of ours: {error}", "use a file that `hybrid train` wrote"
        ) from error
    try:
        with torch.device("meta"):  # takes no memory, whatever sizes the file claims
            expected = {name: tuple(tensor.shape) for name, tensor in _unfilled(config).state_dict().items()}
    except (RuntimeError, TypeError, ValueError) as error:
        what = f"its config makes no model: {str(error).splitlines()[0]}"
        raise BadInputError(str(path), what, "use a file that `hybrid train` wrote") from error
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if found != expected:
        wrong = sorted(set(found.items()) ^ set(expected.items()))[0]
        raise BadInputError(
            str(path), f"its weights do not fit its config, first at {wrong[0]} {wrong[1]}", "train it again"
        )
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        raise BadInputError(str(path), "it holds weights that are not finite", "use an earlier checkpoint")
    model = _unfilled(config)
    model.load_state_dict(weights)
    return Checkpoint(model.eval(), notes, hashlib.sha256(path.read_bytes()).hexdigest())


def _unfilled(config: ModelConfig) -> HybridModel:
    """A model whose parameters have no values yet."""
    with _NoInitialisation():  # type: ignore[no-untyped-call]
        return HybridModel(config)


class _NoInitialisation(TorchFunctionMode):
    """Draws no random values: a file has better ones, and on the meta device it takes half a second to import sympy."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"]
        return func(*args, **(kwargs or {}))
