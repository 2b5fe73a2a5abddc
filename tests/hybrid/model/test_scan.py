"""All steps at once: exact against the reference, equal to the plain loop, in torch and as Triton kernels."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.model.integer import LayerByLayer
from hybrid.model.scan import scan, spikes_of
from snn_export import reference
from snn_export.compare import first_difference

RESETS = ["soft", "zero", "none"]


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_layer_by_layer_equals_the_reference_bit_for_bit(cases, data):
    network, inputs = data.draw(cases())
    runner = LayerByLayer(network, torch.device("cpu"))
    expected, got = reference.run(network, inputs), runner.run(inputs)
    assert first_difference(network, expected, got) is None
    assert expected.saturations == got.saturations
    for name, values in runner.readouts(inputs).items():
        last = network.real_potentials(name, expected.potentials[name][:, -1])
        assert np.array_equal(values.numpy(), last.astype(np.float32)), name


@pytest.mark.parametrize("reset", RESETS)
def test_spikes_alone_are_those_of_training_whatever_the_memory_order(reset):
    torch.manual_seed(0)
    current = torch.randn(3, 9, 4, 5, 5) * 2
    ordered = current.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    keep, threshold = torch.tensor(0.7), torch.tensor(0.4)
    expected = scan(current, keep, threshold, reset)[1]
    assert 0.1 < expected.mean() < 0.9
    for values in (current, ordered):
        assert torch.equal(spikes_of(values.clone(), keep, threshold, reset), expected)


KERNELS = """
from types import SimpleNamespace

import numpy as np
import torch

from hybrid.model import scan, scan_triton
from snn_export.network import LIF, Reset

scan_triton.BLOCK = 64
torch.manual_seed(0)
current, grad = torch.randn(2, 2, 7, 3, 5, 7)
current = current * 2
keep, threshold = torch.tensor(0.7), torch.tensor(0.4)
for reset in ("soft", "zero", "none"):
    v, spikes = scan.scan(current, keep, threshold, reset)
    found = scan_triton.scan(current, keep, threshold, reset)
    assert torch.allclose(found[0], v, atol=1e-5) and torch.equal(found[1], spikes), reset
    expected = scan.gradients(grad, current, keep, threshold, v, spikes, 2.0, reset)
    found = scan_triton.gradients(grad, current, keep, threshold, v, spikes, 2.0, reset)
    for left, right in zip(found, expected):
        assert torch.allclose(left, right, rtol=1e-4, atol=1e-4), (reset, left, right)
rng = np.random.default_rng(0)
sums = torch.from_numpy(rng.integers(1 - 2**17, 2**17, (2, 7, 3, 4, 5)).astype(np.float32))
for reset, readout in ((Reset.SOFT, False), (Reset.ZERO, False), (Reset.NONE, False), (Reset.NONE, True)):
    for channels, ukeep, interval in ((1, 0, 0), (5, 1000, 3)):
        low, high = (0, 0, -9999), (4097, 2048, 9999)
        keep, vth, bias = rng.integers(low, high, (channels, 3)).T.astype(np.int32)
        layer = SimpleNamespace(neuron=LIF(keep, vth, reset, readout, ukeep, bias, interval))
        expected, found = scan.integer_scan(sums, layer), scan_triton.integer_scan(sums, layer)
        assert all(torch.equal(left, right) for left, right in zip(found[:2], expected)), layer
        assert found[2] == expected[2] > 0, layer
print("equal")
"""


def test_the_triton_kernels_equal_torch_in_tritons_interpreter():
    pytest.importorskip("triton")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", KERNELS], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "equal", done.stderr
