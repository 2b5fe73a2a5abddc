"""slayer models: their own forward pass, their own export and what becomes of them here are one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import snn_export
from snn_export import files, lava, netx, reference, slayer
from snn_export.network import NetworkError

MODELS = 6


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of random slayer models, run in a process of their own."""
    if reason := lava.available("netx"):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slayer")
    script = Path(__file__).with_name("slayer_models.py")
    path = os.pathsep.join(filter(None, (str(Path(snn_export.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, str(script), str(folder), str(MODELS)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted(folder.iterdir())


def test_every_layer_gives_slayers_own_spikes_and_the_readout_its_potential(models):
    for folder in models:
        network, run = files.read(folder), np.load(folder / "run.npz")
        values = np.moveaxis(run["input"], -1, 1).astype(np.int16)
        found = reference.run(network, {"input": values})
        late = 0
        for layer in network.layers:
            expected = np.moveaxis(run[layer.name[-1]], -1, 1)
            # a block with delay_shift is one step later than the one before; the read-out has none of its own
            late += int(run["late"]) if not layer.neuron.readout else 0
            expected, steps = expected[:, late:], expected.shape[1] - late
            if layer.neuron.readout:
                ours = found.potentials[layer.name][:, :steps] / 2**12
            else:
                ours = found.spikes[layer.name][:, :steps]
                assert 0 < expected.sum() < expected.size, (folder, layer.name)
            assert np.array_equal(ours, expected.reshape(ours.shape)), (folder, layer.name)


def test_a_model_and_its_own_netx_export_become_the_same_network(models):
    for folder in models:
        network = files.read(folder)
        exported = netx.read(folder / "export.net", input_shape=network.inputs[0].shape)
        assert files.dumps(exported) == files.dumps(network)


def test_the_models_reach_weight_norm_biases_current_memory_and_wide_weights(models):
    layers = [layer for folder in models for layer in files.read(folder).layers]
    assert any(layer.neuron.bias.any() for layer in layers)
    assert any(layer.neuron.ukeep for layer in layers)
    assert any(layer.neuron.keep.size > 1 for layer in layers)
    assert any(len(layer.connections) > 1 for layer in layers)


def test_what_is_no_cuba_block_or_delays_its_spikes_is_refused_by_its_place():
    with pytest.raises(NetworkError, match="cannot be run here") as error:
        slayer.read([SimpleNamespace()], (1, 4, 4))
    assert error.value.where == "blocks[0]"
    with pytest.raises(NetworkError, match="no `blocks`"):
        slayer.read(object(), (1,))
    dense = type("Dense", (), {"__module__": slayer.FAMILY, "delay": object()})()
    with pytest.raises(NetworkError, match="without delays"):
        slayer.read([dense], (4,))
