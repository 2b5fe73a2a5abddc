"""Pins: what the user fixes to the chip or to the host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from hybrid.errors import IllegalPlanError
from hybrid.graph import ModelGraph

EVERYTHING = "*"
"""The pin that fixes to the chip whatever it can run."""
_TARGETS = {"chip": "chip", "host": "host", "gpu": "host", "cpu": "host"}


def pinned(
    graph: ModelGraph,
    pins: Collection[str],
    violations: Mapping[str, tuple[str, ...]],
    stage_without: Callable[[Collection[str]], set[str]],
) -> tuple[frozenset[str], frozenset[str]]:
    """The ops fixed to the chip and to the host.

    Args:
        graph: the traced model.
        pins: `NAME` or `NAME=chip`, `NAME=host`, `NAME=gpu` or `NAME=cpu`; a name stands for all ops below it, and
            `*` for all that the chip can run and no other pin gives to the host.
        violations: what makes each op illegal on the chip.
        stage_without: gives the ops that can form one chip stage without some.

    Raises:
        IllegalPlanError: for a pin that names no op or no target, an op that the chip cannot run, or one that is
            pinned to both.
    """
    fixed: dict[str, set[str]] = {"chip": set(), "host": set()}
    for pin in pins:
        name, _, target = pin.partition("=")
        if (target or "chip") not in _TARGETS:
            raise IllegalPlanError(
                f"pin {pin!r}", f"there is no target {target!r}", f"use one of {', '.join(_TARGETS)}"
            )
        side = _TARGETS[target or "chip"]
        if side == "host" or name != EVERYTHING:
            fixed[side] |= _named(graph, name, pin)
        for op in sorted(fixed["chip"]):
            if violations[op]:
                raise IllegalPlanError(
                    f"pin {pin!r}",
                    f"the chip cannot run it: {violations[op][0]}",
                    "pin spiking layers that it can run, or '*' for all of them",
                )
    if {EVERYTHING, f"{EVERYTHING}=chip"} & set(pins):
        fixed["chip"] |= stage_without(fixed["host"])
    both = fixed["chip"] & fixed["host"]
    if both:
        raise IllegalPlanError(
            "pins", f"{sorted(both)[0]!r} is pinned to the chip and to the host", "drop one of the two"
        )
    blocked = _blocked(graph, fixed["chip"], fixed["host"])
    if blocked:
        what = f"{blocked[0]!r} is pinned to the chip, and {blocked[1]!r}, which feeds it, to the host"
        raise IllegalPlanError("pins", what, "pin both to the same side")
    return frozenset(fixed["chip"]), frozenset(fixed["host"])


def _named(graph: ModelGraph, name: str, pin: str) -> set[str]:
    found = {x for x, op in graph.ops.items() if x == name or x.startswith(f"{name}.")}
    if name == EVERYTHING:
        found = {x for x, op in graph.ops.items() if op.kind not in ("input", "output")}
    if not found:
        heads = sorted({x.split(".")[0] for x, op in graph.ops.items() if op.spiking})
        raise IllegalPlanError(f"pin {pin!r}", "no op of the model has this name", f"use one of {', '.join(heads)}")
    return found


def _blocked(graph: ModelGraph, chip: set[str], host: set[str]) -> tuple[str, str] | None:
    """An op fixed to the chip, and an op fixed to the host that feeds it, if there are such."""
    for producer, consumer in graph.edges:
        op = graph.ops[producer]
        if consumer in chip and producer in host and op.kind != "input" and not op.feeds:
            return consumer, producer
    return None
