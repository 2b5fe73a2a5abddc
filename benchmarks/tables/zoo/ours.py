"""Our model: a config of `hybrid.model`, with the changes of an ablation row."""

from __future__ import annotations

from functools import partial

from torch import nn

from benchmarks.tables.count import Part
from benchmarks.tables.method import Method, Protocol
from hybrid.model import HybridModel, load_config


def _build(name: str, changes: tuple[str, ...]) -> nn.Module:
    return HybridModel(load_config(name, changes))


def ours(name: str, config: str, changes: tuple[str, ...] = ()) -> Method:
    """A config as a method: one GOP of I-frame, motion and residuals is a view."""
    settings = load_config(config, changes).input
    side, steps = settings.crop, settings.steps
    shapes = (1, 3, side, side), (1, steps, 2, side, side), (1, steps, 3, side, side)
    return Method(
        name=name,
        source="Das Biswas et al., arXiv 2503.13724; sizes chosen to meet its cost (docs/model.md)",
        parts=(Part(f"{config} {' '.join(changes)}", partial(_build, config, changes), shapes),),
        protocol=Protocol(f"{settings.views}x1 views", settings.views, {f"{config} {' '.join(changes)}": 1}),
        filled_in="widths, depths and patch, which the public text has lost",
    )
