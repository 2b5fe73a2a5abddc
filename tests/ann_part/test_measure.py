"""Devices and timing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ann_part.measure import DeviceError, measure, resolve_device


def test_measuring_returns_the_modules_output_and_one_time_per_repeat():
    module, x = nn.Linear(4, 2), torch.randn(3, 4)
    found = measure(module, (x,), torch.device("cpu"), 5)
    assert torch.equal(found.output, module(x).detach())
    assert len(found.seconds) == 5
    assert min(found.seconds) > 0
    assert min(found.seconds) <= found.median_s <= max(found.seconds)


def test_an_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="no such device"):
        resolve_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_an_error_not_a_silent_fallback():
    with pytest.raises(DeviceError, match="no CUDA GPU"):
        resolve_device("cuda")
    assert resolve_device("auto").type == "cpu"
