"""torch's own compiler, where it can work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def compiler() -> str | None:
    """The C++ compiler that torch's compiler would call on a CPU, or None where there is none."""
    return next((found for name in ("g++", "clang++", "c++") if (found := shutil.which(name))), None)


def compile_module(module: nn.Module) -> Callable[..., Tensor]:
    """`module` compiled by inductor at its first call, with its weights as constants.

    Raises:
        RuntimeError: at the call, where a CPU has no C++ compiler.
    """
    if compiler() is None:

        def refuse(*_: Any) -> Tensor:
            raise RuntimeError("there is no C++ compiler for torch.compile")

        return refuse
    found: Callable[..., Tensor] = torch.compile(module, options={"freezing": True}, dynamic=False)
    return found
