"""Networks through lava-dl's own netx, bit for bit, in real Lava; and lava-dl's own files through the reader.

A start of lava-dl takes about ten seconds: each example joins many random networks into one of separate streams.
"""

from __future__ import annotations

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hwsim import engine
from snn_export import lava, netx, reference
from snn_export.compare import first_difference
from snn_export.network import Reset, SpikingNetwork

pytestmark = pytest.mark.skipif(lava.available("netx") is not None, reason=str(lava.available("netx")))

EXAMPLES = int(os.environ.get("NETX_EXAMPLES", "1"))
JOINED = 12
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.fixture(scope="module")
def netx_cases(cases):
    """Random chains that netx can say: one threshold a layer, reset to zero, biases of whole multiples of 64."""

    def adapt(case):
        network, inputs = case
        layers = []
        for layer in network.layers:
            neuron = layer.neuron
            bias = neuron.bias // 64 * 64
            layers.append(replace(layer, neuron=replace(neuron, vth=neuron.vth[:1], bias=bias.astype(np.int32))))
        return SpikingNetwork(network.inputs, tuple(layers)), inputs

    plain = cases(resets=(Reset.ZERO,), graph=False, interval=False).map(adapt)
    return plain.filter(lambda case: not lava.check(case[0], "netx"))


def _join(cases):
    """One network of the cases as separate streams, cut to the GOPs and steps that all of them have."""
    gops, steps = np.min([next(iter(inputs.values())).shape[:2] for _, inputs in cases], axis=0)
    ports, layers, arrays = [], [], {}
    for i, (network, inputs) in enumerate(cases):
        for port in network.inputs:
            ports.append(replace(port, name=f"{i}/{port.name}"))
            arrays[f"{i}/{port.name}"] = inputs[port.name][:gops, :steps]
        for layer in network.layers:
            connections = tuple(replace(c, source=f"{i}/{c.source}") for c in layer.connections)
            layers.append(replace(layer, name=f"{i}/{layer.name}", connections=connections))
    return SpikingNetwork(tuple(ports), tuple(layers)), arrays


@given(data=st.data())
@settings(max_examples=EXAMPLES, phases=PHASES)
def test_networks_written_as_netx_run_in_lava_dl_to_the_bits_of_the_reference(netx_cases, data):
    network, inputs = _join(data.draw(st.lists(netx_cases, min_size=JOINED, max_size=JOINED)))
    assert len(netx.streams(network)) == JOINED
    found = lava.run(network, inputs, "netx")
    assert first_difference(network, reference.run(network, inputs), found) is None


def _shipped(name):
    """A netx file of lava-dl's own tests, which lie beside the installed package."""
    spec = importlib.util.find_spec("lava.lib.dl.netx")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    site = Path(next(iter(spec.submodule_search_locations))).parents[3]
    return site / "tests" / "lava" / "lib" / "dl" / "netx" / name


@pytest.mark.parametrize("name", ["tiny.net", "mnist.net"])
def test_a_file_of_lava_dl_gives_the_same_bits_here_in_netx_and_in_hwsim(name):
    path = _shipped(name)
    network = netx.read(path)
    port = network.inputs[0]
    values = np.random.default_rng(3).integers(-40, 80, (2, 8, *port.shape)).astype(np.int16)
    inputs = {port.name: values}
    expected = reference.run(network, inputs)
    assert expected.spikes[network.layers[-2].name].any()
    assert first_difference(network, expected, lava.run_file(path, network, inputs)) is None
    assert first_difference(network, expected, engine.run(network, inputs).recording) is None


def test_the_recorded_spikes_of_lava_dls_tiny_net_come_out_on_its_recorded_input():
    path = _shipped("tiny.net")
    network = netx.read(path)
    folder = path.parent / "gts" / "tinynet"
    bias = np.load(folder / "input_bias.npy").transpose(2, 1, 0)
    with h5py.File(path) as file:
        offset = int(file["layer/0/bias"][0])
    # lava-dl's sample gives what the input neuron adds each step, its bias included
    values = np.broadcast_to(np.rint(bias) - offset, (1, 16, *bias.shape)).astype(np.int16)
    expected = np.load(folder / "output.npy")[0].transpose(3, 0, 1, 2)
    found = reference.run(network, {"input": values}).spikes[network.layers[-1].name][0]
    assert expected.any()
    # the recording begins one step early: lava-dl hands spikes on a step late
    assert np.array_equal(expected[1:], found[:-1])


def test_every_recorded_spike_and_potential_of_lava_dls_pilotnet_comes_out_in_hwsim():
    path = _shipped("gts/pilotnet_lif/network.net")
    network = netx.read(path)
    image = np.load(path.parent / "image.npy").transpose(2, 1, 0)
    drive = image - (network.layers[0].neuron.bias[0] >> 6)
    # the recording has 24 steps, the sample 16, after which its state was reset
    values = np.broadcast_to(drive, (1, 16, *drive.shape)).astype(np.int16)
    found = engine.run(network, {"input": values}).recording
    spikes = np.load(path.parent / "input.npy").transpose(3, 2, 1, 0)[:16]
    assert np.array_equal(found.spikes["input0"][0], spikes)
    names = ("conv-0", "conv-1", "conv-2", "conv-3", "conv-4", "fc-0", "fc-1", "fc-2")
    for late, (name, layer) in enumerate(zip(names, network.layers[1:-1], strict=True), start=1):
        spikes, potentials = (np.load(path.parent / f"{name}{end}.npy").T for end in ("", "-v"))
        # each layer reacts one step later than the one before; the recording ends at step 24
        shown = min(16, 24 - late)
        spikes, potentials = spikes[late : late + shown], potentials[late : late + shown]
        assert spikes.any(), name
        assert np.array_equal(found.spikes[layer.name][0, :shown], spikes), name
        # a neuron that has just fired stands at 128 in the recording instead of 0
        potentials = np.where(spikes, 0, potentials)
        assert np.array_equal(found.potentials[layer.name][0, :shown], potentials), name
