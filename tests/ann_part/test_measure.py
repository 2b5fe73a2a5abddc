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


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_gives_the_same():
    class Narrow(nn.Module):
        def forward(self, x):
            if len(x) > 3:
                raise torch.cuda.OutOfMemoryError("as the driver would")
            return 2 * x

    lines, x = [], torch.randn(11, 4)
    found = measure(Narrow(), (x,), torch.device("cpu"), 2, warn=lines.append)
    assert torch.equal(found.output, 2 * x)
    assert found.batch == 3
    assert lines == ["out of memory: 6 samples at once instead of 11", "out of memory: 3 samples at once instead of 11"]


def test_memory_that_never_suffices_is_an_error():
    class Hungry(nn.Module):
        def forward(self, x):
            raise torch.cuda.OutOfMemoryError("as the driver would")

    with pytest.raises(DeviceError, match="single sample"):
        measure(Hungry(), (torch.randn(2, 4),), torch.device("cpu"), 1)
