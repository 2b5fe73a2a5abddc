"""A model that takes one time step a call, as a model of whole sequences."""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn

from hybrid.graph.cells import Layout, kind_of


class StepByStep(nn.Module):
    """Calls ``out, state = step(values[t], state)`` for every t, from no state, and stacks what comes out.

    Attributes:
        step: the user's model.
        axis: of time in the input; what comes out has it in the same place.
    """

    def __init__(self, step: nn.Module, axis: int) -> None:
        super().__init__()
        self.step, self.axis = step, axis

    def forward(self, values: Tensor) -> Tensor:
        """The results of all steps."""
        state, results = None, []
        for t in range(values.shape[self.axis]):
            result, state = self.step(values.select(self.axis, t), state)
            results.append(result)
        return torch.stack(results, self.axis)


def takes_steps(model: nn.Module) -> bool:
    """Whether it takes one step and a state, as norse's SequentialState of cells does."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    stateful = len(parameters) == 2 and parameters[1].name == "state" and parameters[1].default is None
    kinds = [kind for module in model.modules() if (kind := kind_of(module)) is not None]
    lifts = any(type(module).__qualname__ == "Lift" for module in model.modules())
    return stateful and not lifts and all(kind.layout is Layout.STEP for kind in kinds)
