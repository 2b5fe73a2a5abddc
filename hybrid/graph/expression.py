"""What feeds a population in one time step: linear operations on its sources, as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from torch import Tensor, nn

from hybrid.graph.synapses import Step
from snn_export.network import NetworkError
from snn_export.nir.linear import Chain


@dataclass(frozen=True, slots=True)
class Leaf:
    """The value of a source, by its number."""

    source: int


@dataclass(frozen=True, slots=True, eq=False)
class Apply:
    """A linear operation on what is below."""

    step: Step
    below: Expression


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """Two values of one shape, added."""

    left: Expression
    right: Expression


Expression: TypeAlias = Leaf | Apply | Sum


def evaluate(expression: Expression, values: Sequence[Tensor], modules: Iterator[nn.Module]) -> Tensor:
    """The input of the neurons in one step.

    Args:
        expression: what feeds them.
        values: [B, ...] of each source.
        modules: those of `steps_of`, in its order.
    """
    if isinstance(expression, Leaf):
        return values[expression.source]
    if isinstance(expression, Sum):
        return evaluate(expression.left, values, modules) + evaluate(expression.right, values, modules)
    module = next(modules)
    result: Tensor = module(evaluate(expression.below, values, modules))
    return result


def chains(expression: Expression, starts: Sequence[Chain]) -> list[Chain]:
    """The same, multiplied out: one chain for each way from a source to the neurons.

    Raises:
        NetworkError: where an operation cannot be multiplied into one synapse.
    """
    if isinstance(expression, Leaf):
        return [starts[expression.source]]
    if isinstance(expression, Sum):
        both = [*chains(expression.left, starts), *chains(expression.right, starts)]
        if len({chain.shape for chain in both}) > 1:
            raise NetworkError("sum", "it adds a map to a flattened one", "flatten both, or neither")
        return both
    below = chains(expression.below, starts)
    return [expression.step.extend(chain, i == 0) for i, chain in enumerate(below)]


def steps_of(expression: Expression) -> Iterator[Step]:
    """All operations of the tree."""
    if isinstance(expression, Sum):
        yield from steps_of(expression.left)
        yield from steps_of(expression.right)
    elif isinstance(expression, Apply):
        yield expression.step
        yield from steps_of(expression.below)
