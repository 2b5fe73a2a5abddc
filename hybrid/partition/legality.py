"""What a chip can run: one small rule each; its docstring is the limit that the user reads."""

from __future__ import annotations

from hybrid.graph import Op


def only_spiking_layers(op: Op) -> str | None:
    """The chip runs convolutions into leaky integrate-and-fire neurons, nothing else."""
    return None if op.spiking else f"{op.kind} is no spiking layer"


RULES = (only_spiking_layers,)


def violations(op: Op) -> tuple[str, ...]:
    """Every rule that `op` breaks, in words; empty where the chip can run it."""
    return tuple(fact for rule in RULES if (fact := rule(op)) is not None)
