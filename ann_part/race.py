"""Let forms of one computation run against each other, and keep the fastest that gives the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Form = Callable[..., Tensor]
ROUNDS, LONG_S = 5, 1.0
"""Timed runs of every form, taking turns; two where one takes longer than `LONG_S`. The fastest counts, since other
work on a machine only adds time."""


@dataclass(frozen=True, slots=True)
class Result:
    """One form in a race.

    Attributes:
        name: of the form.
        seconds: of its fastest run; infinite where it was left out.
        error: largest difference from the exact output, as a share of the largest value in it.
        left_out: why it could not win, or nothing.
    """

    name: str
    seconds: float
    error: float
    left_out: str = ""


def race(forms: Mapping[str, Form], exact: Tensor, inputs: tuple[Tensor, ...], tolerance: float) -> list[Result]:
    """Run every form, and time those that give what they shall.

    Args:
        forms: by name; one that raises is left out.
        exact: what they shall give.
        inputs: on the device where they run.
        tolerance: the largest error that may win.

    Returns:
        The results, fastest first.
    """
    tried = [_try(name, form, exact, inputs, tolerance) for name, form in forms.items()]
    best = {result.name: float("inf") for result in tried}
    for turn in range(ROUNDS):
        if turn > 1 and any(LONG_S < s < float("inf") for s in best.values()):
            break
        for result in tried:
            if not result.left_out:
                best[result.name] = min(best[result.name], seconds_of(forms[result.name], inputs))
    timed = [Result(r.name, best[r.name], r.error, r.left_out) for r in tried]
    return sorted(timed, key=lambda result: result.seconds)


def _try(name: str, form: Form, exact: Tensor, inputs: tuple[Tensor, ...], tolerance: float) -> Result:
    """Run a form for the first time, which also warms it up."""
    try:
        error = relative_error(form(*inputs), exact)
    except Exception as failure:  # a compiler may fail in any way
        return Result(name, float("inf"), float("inf"), f"{type(failure).__name__}: {str(failure).splitlines()[0]}")
    # written so that an error that is no number is left out too
    wrong = "" if error <= tolerance else f"off by {error:.1e} of the largest value, more than {tolerance:.1e}"
    return Result(name, float("inf"), error, wrong)


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The largest difference as a share of the largest value; NaN where `found` is not finite."""
    if not bool(torch.isfinite(found).all()):
        return float("nan")
    scale = max(float(exact.abs().max()), torch.finfo(torch.float32).tiny)
    return float((found.float() - exact.float()).abs().max()) / scale


def seconds_of(form: Form, inputs: tuple[Tensor, ...]) -> float:
    """Of one call on the device of the inputs."""
    _wait(inputs)
    begin = time.perf_counter()
    form(*inputs)
    _wait(inputs)
    return time.perf_counter() - begin


def _wait(inputs: tuple[Tensor, ...]) -> None:
    if inputs and inputs[0].is_cuda:
        torch.cuda.synchronize(inputs[0].device)
