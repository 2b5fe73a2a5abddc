"""The example models of tests/models, importable by name."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class Example:
    """An example model, and the shape that its inputs are declared with."""

    name: str
    shape: str
    argument: str
    batch_axis: int

    def build(self) -> Any:
        return importlib.import_module(self.name).build().eval()

    def inputs(self, samples: int, seed: int = 0) -> torch.Tensor:
        sizes = [int(n) for n in self.shape.split(",") if n != "B"]
        sizes.insert(self.batch_axis, samples)
        return (torch.rand(sizes, generator=torch.Generator().manual_seed(seed)) < 0.3).float()


EXAMPLES = {
    "norse": Example("norse_model", "7,2,16,16", "events", 0),
    "snntorch": Example("snntorch_model", "7,B,2,12,12", "x", 1),
    "own": Example("own_model", "7,2,16,16", "motion", 0),
}


@pytest.fixture(params=EXAMPLES)
def example(request, monkeypatch) -> Example:
    monkeypatch.syspath_prepend(str(FOLDER))
    if request.param == "snntorch":
        pytest.importorskip("snntorch")
    return EXAMPLES[request.param]


@pytest.fixture
def norse_example(monkeypatch) -> Example:
    monkeypatch.syspath_prepend(str(FOLDER))
    return EXAMPLES["norse"]
