"""The reference against an independent statement of the contract: Python integers, neuron by neuron."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_export import reference
from snn_export.compare import first_difference
from snn_export.files import read, write
from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Recording,
    Reset,
    SpikingNetwork,
)


def _input_of(synapse, values, place):
    """a for one neuron, from the definition of cross-correlation."""
    if isinstance(synapse, Dense):
        return sum(int(w) * int(s) for w, s in zip(synapse.weight[place[0]], values.reshape(-1), strict=True))
    o, y, x = place
    out_channels, per_group, kh, kw = synapse.weight.shape
    first = o // (out_channels // synapse.groups) * per_group
    total = 0
    for i in range(per_group):
        for ky in range(kh):
            for kx in range(kw):
                row = y * synapse.stride[0] - synapse.padding[0] + ky * synapse.dilation[0]
                column = x * synapse.stride[1] - synapse.padding[1] + kx * synapse.dilation[1]
                if 0 <= row < values.shape[1] and 0 <= column < values.shape[2]:
                    total += int(synapse.weight[o, i, ky, kx]) * int(values[first + i, row, column])
    return total


def _decay(x, keep):
    return (1 if x >= 0 else -1) * (abs(x) * keep >> 12)


def _neuron_by_neuron(network, inputs, gops, steps):
    spikes = {x.name: np.zeros((gops, steps, *x.shape), np.uint8) for x in network.layers}
    potentials = {x.name: np.zeros((gops, steps, *x.shape), np.int32) for x in network.layers}
    for g in range(gops):
        u = {x.name: np.zeros(x.shape, object) for x in network.layers}
        v = {x.name: np.zeros(x.shape, object) for x in network.layers}
        for t in range(steps):
            values = {p.name: inputs[p.name][g, t] for p in network.inputs}
            for layer in network.layers:
                n = layer.neuron
                fired = np.zeros(layer.shape, np.uint8)
                for place in np.ndindex(*layer.shape):
                    a = sum(_input_of(c.synapse, values[c.source], place) for c in layer.connections)
                    keep, vth, bias = (int(z[place[0] if len(z) > 1 else 0]) for z in (n.keep, n.vth, n.bias))
                    u[layer.name][place] = _decay(u[layer.name][place], n.ukeep) + a * 64
                    new = _decay(v[layer.name][place], keep) + u[layer.name][place] + bias
                    new = max(-(2**23) + 1, min(2**23 - 1, new))
                    if not n.readout and new > vth * 64:
                        fired[place] = 1
                        new = {Reset.ZERO: 0, Reset.SOFT: new - vth * 64, Reset.NONE: new}[n.reset]
                    v[layer.name][place] = new
                values[layer.name] = fired
                spikes[layer.name][g, t] = fired
                potentials[layer.name][g, t] = v[layer.name].astype(np.int32)
    return Recording(spikes, potentials, {})


@given(data=st.data())
@settings(max_examples=60)
def test_reference_equals_the_contract_neuron_by_neuron(cases, data):
    network, inputs = data.draw(cases())
    gops, steps = next(iter(inputs.values())).shape[:2]
    expected = _neuron_by_neuron(network, inputs, gops, steps)
    assert first_difference(network, reference.run(network, inputs), expected) is None


@given(data=st.data())
@settings(max_examples=40)
def test_a_network_read_back_from_disk_gives_the_same_bits_and_the_same_files(cases, data, tmp_path_factory):
    network, inputs = data.draw(cases())
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    write(network, first)
    again = read(first)
    write(again, second)
    for file in ("spiking.json", "spiking.safetensors"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    assert first_difference(network, reference.run(network, inputs), reference.run(again, inputs)) is None


def _one_layer(weight=1, **neuron):
    lif = LIF(np.array([0], np.int32), np.array([1], np.int32), **neuron)
    synapse = Dense(np.array([[weight]], np.int8))
    return SpikingNetwork((InputPort("in", (1,), 8),), (Layer("out", (1,), (Connection("in", synapse),), lif),))


def test_a_potential_equal_to_the_threshold_does_not_spike():
    record = reference.run(_one_layer(), {"in": np.array([[[1], [2]]], np.int16)})
    assert record.spikes["out"].ravel().tolist() == [0, 1]


def test_saturation_is_clipped_and_counted():
    network = _one_layer(weight=127, readout=True, reset=Reset.NONE, bias=np.array([2**23 - 1], np.int32))
    record = reference.run(network, {"in": np.full((1, 2, 1), 127, np.int16)})
    assert record.potentials["out"].ravel().tolist() == [2**23 - 1] * 2
    assert record.saturations["out"] == 2


def test_the_first_difference_names_layer_step_and_place():
    network = _one_layer()
    inputs = {"in": np.array([[[1], [2]]], np.int16)}
    left, right = reference.run(network, inputs), reference.run(network, inputs)
    right.potentials["out"][0, 1, 0] += 5
    difference = first_difference(network, left, right)
    assert difference is not None
    assert (difference.layer, difference.step, difference.place, difference.right) == ("out", 1, (0,), 5)


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"weight": np.zeros((1, 2, 1, 1), np.int8)}, "connections[0].synapse", "does not take 1 channels"),
        ({"weight": np.zeros((1, 1, 1, 1), np.int32)}, "connections[0].weight", "int32"),
        ({"source": "nowhere"}, "connections[0].source", "nowhere"),
        ({"keep": np.array([4097], np.int32)}, "neuron.keep", "4097"),
        ({"vth": np.array([2**17], np.int32)}, "neuron.vth", "131072"),
        ({"bits": 17}, "inputs[in].bits", "17 bits"),
        ({"weight": np.full((1, 1, 1, 1), 127, np.int8), "bits": 12}, "layers[out]", "2^17"),
    ],
)
def test_a_network_that_breaks_the_contract_is_refused_with_its_place(change, where, what):
    synapse = Conv2d(change.get("weight", np.ones((1, 1, 1, 1), np.int8)))
    neuron = LIF(change.get("keep", np.array([1], np.int32)), change.get("vth", np.array([1], np.int32)))
    layer = Layer("out", (1, 3, 3), (Connection(change.get("source", "in"), synapse),), neuron)
    with pytest.raises(NetworkError) as error:
        SpikingNetwork((InputPort("in", (1, 3, 3), change.get("bits", 8)),), (layer,))
    assert where in error.value.where
    assert what in error.value.what
    assert error.value.fix


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.zeros((1, 1, 2), np.int16), "shape"),
        (np.zeros((1, 1, 1)), "float64"),
        (np.full((1, 1, 1), 300, np.int16), "300"),
    ],
)
def test_input_that_does_not_fit_its_port_is_refused(array, what):
    with pytest.raises(NetworkError, match=what):
        reference.run(_one_layer(), {"in": array})
