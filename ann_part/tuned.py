"""A program in its fastest form on the device at hand: never slower than as it was given, and the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from ann_part.captured import capture
from ann_part.compiled import compile_module
from ann_part.precision import Precision, autocast_precision, precise
from ann_part.race import Form, Result, race, relative_error
from ann_part.rewrite import rewrite

Key = tuple[torch.device, Precision, tuple[torch.Size, ...]]
AS_GIVEN = "as given"
FP32_TOLERANCE = 1e-4
"""Of the largest logit: rounding in another order of sums."""
WORTH_OPERATIONS = 5e9
"""On a CPU, a program of fewer stays as it is: its sums then come in the same order in every run."""
LOWER_TOLERANCE = 4.0
"""How many times the error of the program itself, in the same precision, another form may have."""


class Tuned(nn.Module):
    """A drop-in for an ATen program: computes in the precision of the autocast around the call, fp32 without one.

    At the first call on a device, in a precision and of a shape, its forms race each other; the winner stays.

    Args:
        program: as `ann_part.program.build` makes it; any other module runs as it is.
        compiled: let torch's compiler take part, which takes minutes for a large program.
        warn: told of forms that had to be left out.

    Attributes:
        results: of each race, fastest first.
    """

    def __init__(
        self, program: nn.Module, *, compiled: bool = False, warn: Callable[[str], None] = lambda line: None
    ) -> None:
        super().__init__()
        self.program = program
        self.results: dict[Key, list[Result]] = {}
        self._compiled, self._warn = compiled, warn
        self._forms: dict[Key, Form] = {}

    def forward(self, *inputs: Tensor) -> Tensor:
        """The program's output, in the precision's type or fp32."""
        device = inputs[0].device
        precision = autocast_precision(device)
        key = device, precision, tuple(x.shape for x in inputs)
        # forms cast where they must: an autocast around them would cast again
        with torch.autocast(device.type, enabled=False), torch.inference_mode():
            if key not in self._forms:
                self._forms[key] = self._choose(key, inputs)
            return self._forms[key](*inputs)

    def _choose(self, key: Key, inputs: tuple[Tensor, ...]) -> Form:
        device, precision, _ = key
        with FlopCounterMode(display=False) as counter:
            exact = self.program(*inputs)
        if device.type == "cpu" and counter.get_total_flops() < WORTH_OPERATIONS:
            return partial(self._as_given, precision)
        forms = self._candidates(inputs, device, precision)
        own = 0.0 if precision == "fp32" else relative_error(forms[AS_GIVEN](*inputs), exact)
        if own != own:  # not finite: whoever called finds out, and computes in fp32
            return forms[AS_GIVEN]
        results = race(forms, exact, inputs, max(LOWER_TOLERANCE * own, FP32_TOLERANCE))
        for result in results:
            if result.left_out:
                self._warn(f"the form {result.name!r} of the ANN part was left out: {result.left_out}")
        self.results[key] = results
        return forms[results[0].name]

    def _candidates(self, inputs: tuple[Tensor, ...], device: torch.device, precision: Precision) -> dict[str, Form]:
        forms: dict[str, Form] = {AS_GIVEN: partial(self._as_given, precision)}
        try:
            if not isinstance(self.program, fx.GraphModule):
                raise TypeError("it is no graph of operators")
            rewritten = rewrite(self.program, inputs, device, precision)
            forms["rewritten"] = rewritten
            if device.type == "cuda":
                forms["rewritten, as a CUDA graph"] = capture(rewritten, inputs)
        except Exception as error:  # whatever a user's program holds that a rule does not foresee
            self._warn(f"the ANN part could not be rewritten: {type(error).__name__}: {error}")
        if self._compiled:
            forms["compiled"] = _in(precision, device, compile_module(self.program))
        return forms

    def _as_given(self, precision: Precision, *inputs: Tensor) -> Tensor:
        with precise(precision, inputs[0].device):
            return torch.as_tensor(self.program(*inputs))


def _in(precision: Precision, device: torch.device, form: Form) -> Form:
    def call(*inputs: Tensor) -> Tensor:
        with precise(precision, device):
            return form(*inputs)

    return call
