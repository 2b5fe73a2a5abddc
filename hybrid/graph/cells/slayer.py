"""lava-dl's slayer: cuba blocks, which compute with integers already; `snn_export.slayer` reads them."""

from __future__ import annotations

from typing import Any

from hybrid.graph.cells.kind import Kind, Law, Layout, Refused, Role
from snn_export import slayer
from snn_export.network import Layer


def _layer(block: Any, name: str, source: str, shape: tuple[int, ...]) -> Layer:
    if getattr(block, "delay", None) is not None:
        raise Refused("it delays its spikes")
    return slayer.layer(block, name, source, shape, name)


def _no_law(block: Any, shape: tuple[int, ...], role: Role) -> Law:
    """Exactly, with its own integers: nothing is rounded again. Not mixed with other cells on one chip."""
    raise Refused("it computes with integers")


KINDS = {
    f"{slayer.FAMILY}.{name}": Kind(
        f"cuba.{name}", Layout.TIME_LAST, "potential" if name == "Affine" else "spikes", _no_law, layer=_layer,
        late=lambda block: bool(getattr(block, "delay_shift", False)),
    )
    for name in ("Conv", "Dense", "Affine")
}  # fmt: skip
