"""Half precision: close to fp32, refused where a device lacks it, never numbers that are not finite."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ann_part.errors import DeviceError
from ann_part.measure import measure
from ann_part.precision import check_precision, run

CPU = torch.device("cpu")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.GELU(), nn.Flatten(), nn.LayerNorm(16 * 36), nn.Linear(16 * 36, 5))


def test_bf16_is_within_its_rounding_of_fp32_and_comes_out_as_fp32(network):
    x = torch.randn(7, 3, 8, 8)
    exact = measure(network, (x,), CPU, 1).output
    found = measure(network, (x,), CPU, 1, "bf16")
    assert found.precision == "bf16"
    assert found.output.dtype == torch.float32
    error = (found.output - exact).abs().max()
    assert 0 < error < 2**-6 * exact.abs().max()


@torch.inference_mode()
def test_numbers_that_bf16_cannot_hold_are_computed_in_fp32_and_that_is_said():
    class Blown(nn.Module):
        def forward(self, x):
            narrow = (x @ x.T).dtype == torch.bfloat16
            return x * float("inf") if narrow else x + 1

    lines, x = [], torch.ones(2, 2)
    output, precision = run(Blown(), (x,), "bf16", lines.append)
    assert torch.equal(output, x + 1)
    assert precision == "fp32"
    assert len(lines) == 1
    assert "bf16 gave numbers that are not finite" in lines[0]


@pytest.mark.parametrize(("name", "what"), [("fp8", "no such precision"), ("fp16", "slower than fp32")])
def test_a_precision_that_is_not_there_is_refused(name, what):
    with pytest.raises(DeviceError, match=what):
        check_precision(name, CPU)
    assert check_precision("bf16", CPU) == "bf16"
