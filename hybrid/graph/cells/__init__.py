"""Spiking cells of other libraries: how each is called, and its law in the constants of the contract.

One module per library. None imports its library: a cell is known by the name of its class, so that what is not
used need not be installed.
"""

from __future__ import annotations

from torch import nn

from hybrid.graph.cells import norse, own, slayer, snntorch
from hybrid.graph.cells.kind import Kind, Law, Layout, Refused, Role

KINDS = norse.KINDS | snntorch.KINDS | slayer.KINDS | own.KINDS


def kind_of(module: nn.Module) -> Kind | None:
    """How the cell `module` works; None for what is no cell. A subclass is no cell: it may do anything."""
    return KINDS.get(f"{type(module).__module__}.{type(module).__qualname__}")


__all__ = ["KINDS", "Kind", "Law", "Layout", "Refused", "Role", "kind_of"]
