"""Compilation: the quantised network stands for the trained one, and failures leave nothing behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwsim.mapping import DoesNotFit
from hybrid.compile import recording_hash
from hybrid.errors import IllegalPlanError
from hybrid.model.inputs import chip_values, input_ports, to_tensors
from hybrid.partition import Aim
from hybrid.partition.extract import chip_layers
from hybrid.runtime.boundary import host_values
from snn_export import reference
from snn_export.network import ACCUMULATOR_LIMIT, accumulator_interval
from snn_export.quantize import quantize


def test_the_parity_hash_in_the_manifest_is_the_references(bundle, clip_views):
    first = {name: values[:1] for name, values in chip_values(bundle.network, clip_views).items()}
    assert recording_hash(reference.run(bundle.network, first)) == bundle.manifest.parity.sha256


def test_integer_potentials_follow_the_float_ones(bundle, tiny, clip_views):
    inputs = chip_values(bundle.network, clip_views)
    recording = reference.run(bundle.network, inputs)
    names = ("stm_motion.2", "stm_residual.2")
    found = host_values(bundle.network, recording, clip_views, tiny.config.input, names)
    _, motion, residual = to_tensors(clip_views, tiny.config.input)
    with torch.no_grad():
        expected = (tiny.stm_motion(motion), tiny.stm_residual(residual))
    for integer, real in zip(found, expected, strict=True):
        correlation = np.corrcoef(integer.flatten(), real.flatten())[0, 1]
        assert correlation > 0.98
        assert abs(float((integer * real).sum() / real.square().sum()) - 1) < 0.05


def test_no_accumulator_can_leave_its_bound(bundle):
    intervals = {port.name: port.interval for port in bundle.network.inputs}
    intervals |= {layer.name: (0, 1) for layer in bundle.network.layers}
    for layer in bundle.network.layers:
        assert max(map(abs, accumulator_interval(layer, intervals))) < ACCUMULATOR_LIMIT


def test_a_spiking_layer_at_the_boundary_sends_its_whole_spike_train(traced, tiny, clip_views):
    config = tiny.config.input
    network = quantize(input_ports(config)[:1], chip_layers(traced, ["stm_motion.0"]))
    recording = reference.run(network, chip_values(network, clip_views))
    (spikes,) = host_values(network, recording, clip_views, config, ["stm_motion.0"])
    _, motion, _ = to_tensors(clip_views, config)
    with torch.no_grad():
        expected = tiny.stm_motion[0](motion)
    assert spikes.shape == expected.shape
    assert 0 < expected.mean() < 1
    assert (spikes != expected).float().mean() < 0.01  # thresholds and weights are rounded


def test_a_network_that_does_not_fit_leaves_no_bundle(checkpoint, clip_views, tmp_path):
    from hwsim.chip import load
    from hybrid.compile import compile_model
    from hybrid.platform import load_host, load_link

    chip = load("tianjic")
    core = chip.core.model_copy(update={"inputs": 16})
    small = chip.model_copy(update={"core": core})
    with pytest.raises(DoesNotFit) as error:
        compile_model(
            checkpoint,
            clip_views,
            small,
            load_host("horowitz45"),
            load_link("pcie4"),
            tmp_path / "b",
            aim=Aim(("stm_motion",)),
        )
    assert error.value.layer.startswith("stm_motion")
    assert error.value.gap == error.value.demand - error.value.bound > 0
    assert not list(tmp_path.iterdir())


def test_an_unknown_pin_is_refused(compiled, tmp_path):
    with pytest.raises(IllegalPlanError, match="no op"):
        compiled(tmp_path / "b", pins=("stm_audio",))
