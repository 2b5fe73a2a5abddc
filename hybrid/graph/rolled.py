"""All time steps of a population as one module that runs the user's own cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybrid.graph.cells import Kind, Layout, Role
from hybrid.graph.expression import Expression, evaluate, steps_of


class Rolled(nn.Module):
    """A cell with its synapses, from zero state over all steps.

    Attributes:
        cell: the user's module.
        kind: how it is called.
        expression: what feeds it.
        role: what is used of it.
        last: only the last step is given.
    """

    def __init__(self, cell: nn.Module, kind: Kind, expression: Expression, role: Role, last: bool) -> None:
        super().__init__()
        self.cell, self.kind, self.expression, self.role, self.last = cell, kind, expression, role, last
        self.synapses = nn.ModuleList(step.apply for step in steps_of(expression))

    def forward(self, *sources: Tensor) -> Tensor:
        """Spikes or potentials [B, T, ...], or the last [B, ...], for sources [B, T, ...]."""
        self.kind.reset(self.cell)
        try:
            return self._run(sources)
        finally:
            self.kind.reset(self.cell)

    def _run(self, sources: tuple[Tensor, ...]) -> Tensor:
        steps = range(sources[0].shape[1])
        # by way of the attribute: an exporter knows a module by its path
        currents = [evaluate(self.expression, [x[:, t] for x in sources], iter(self.synapses)) for t in steps]
        if self.kind.layout is not Layout.STEP:
            return self._whole(torch.stack(currents, 1))
        results, state = [], ()
        for current in currents:
            result = self.cell(current, *state)
            parts = result if isinstance(result, tuple) else (result,)
            # a cell that keeps its state to itself gives its spikes alone
            state = parts[1:] if not getattr(self.cell, "init_hidden", False) else ()
            results.append(self._used(parts))
        return results[-1] if self.last else torch.stack(results, 1)

    def _whole(self, currents: Tensor) -> Tensor:
        batch, time = self.kind.layout.axes
        result = self.cell(currents.movedim((0, 1), (batch, time)))
        sequence: Tensor = result[0] if isinstance(result, tuple) else result
        given = sequence.movedim((batch, time), (0, 1))
        return given[:, -1] if self.last else given

    def _used(self, parts: tuple[Any, ...]) -> Tensor:
        if self.role == self.kind.emits:
            return torch.as_tensor(parts[0])
        found = parts[self.kind.potential] if self.kind.potential is not None else parts[1].v
        return torch.as_tensor(found)
