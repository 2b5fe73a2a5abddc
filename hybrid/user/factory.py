"""Find a user's model by name, and give it its weights."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import traceback
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hybrid.errors import BadInputError

FORM = "write it as PACKAGE.MODULE:FACTORY, such as mynet.model:build"


def build(name: str) -> nn.Module:
    """Import the module that `name` says and call its factory, which takes no arguments.

    The current folder can be imported from, as with `python -m`.

    Raises:
        BadInputError: where there is no such module or factory, or it fails, or gives no torch module.
    """
    path, _, factory = name.partition(":")
    if not path or not factory:
        raise BadInputError(name, "it names no factory", FORM)
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(path)
    except Exception as error:
        fix = "check the name, install the package, or run from the folder that holds it"
        raise BadInputError(path, f"the module cannot be imported: {_line(error)}", fix) from error
    found = getattr(module, factory, None)
    if not callable(found):
        raise BadInputError(f"{path}:{factory}", "the module has no such function or class", FORM)
    try:
        model = found()
    except Exception as error:
        frames = [x for x in traceback.extract_tb(error.__traceback__) if x.filename != __file__]
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name
        raise BadInputError(where, f"the factory {factory} raises {_line(error)}", "correct the factory") from error
    if not isinstance(model, nn.Module):
        raise BadInputError(name, f"it gives a {type(model).__name__}, no torch module", "return the model")
    return model.eval()


def load_weights(model: nn.Module, path: Path | None) -> str:
    """Load a safetensors file into the model.

    Returns:
        The hash of the file; without a file, that of the weights as they are.

    Raises:
        BadInputError: where the file cannot be read, or does not fit the model: which key, and how.
    """
    own = model.state_dict()
    if path is None:
        digest = hashlib.sha256()
        for name in sorted(own):
            digest.update(name.encode() + own[name].detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
    try:
        given = load_file(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, SafetensorError) as error:
        fix = "give a file that safetensors.torch.save_file(model.state_dict(), ...) wrote"
        raise BadInputError(str(path), f"the weights cannot be read: {error}", fix) from error
    for name in sorted({*own, *given}):
        if name not in own or name not in given:
            what = f"{name!r} is {'not in the model' if name not in own else 'missing'}"
            raise BadInputError(str(path), what, "give the weights of this model")
        if own[name].shape != given[name].shape:
            what = f"{name!r} has shape {list(given[name].shape)}, the model's {list(own[name].shape)}"
            raise BadInputError(str(path), what, "give the weights of this model, or build it in their size")
        if given[name].is_floating_point() and not bool(torch.isfinite(given[name]).all()):
            raise BadInputError(str(path), f"{name!r} holds values that are not finite", "use an earlier file")
    model.load_state_dict(given)
    return sha256


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
