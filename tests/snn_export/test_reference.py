"""The reference against an independent statement of the contract: Python integers, neuron by neuron."""

from __future__ import annotations

import json
from fractions import Fraction

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
    Sparse,
    SpikingNetwork,
    SumPool2d,
)


def _number(x):
    """A value as an exact Python number."""
    return Fraction(float(x)) if np.asarray(x).dtype.kind == "f" else int(x)


def _synapses_of(synapse, shape, place):
    """Weight and source place, flat, of every synapse of one neuron, from the definitions."""
    if isinstance(synapse, Sparse):
        mine = np.flatnonzero(synapse.rows == place[0])
        return [(synapse.weight[i], synapse.columns[i]) for i in mine]
    if isinstance(synapse, Dense):
        return list(zip(synapse.weight[place[0]], range(synapse.weight.shape[1]), strict=True))
    o, y, x = place
    if isinstance(synapse, SumPool2d):
        weight, first, dilation = np.ones((1, *synapse.kernel), np.int8), o, (1, 1)
    else:
        weight, dilation = synapse.weight[o], synapse.dilation
        first = o // (len(synapse.weight) // synapse.groups) * weight.shape[0]
    found = []
    for i, ky, kx in np.ndindex(*weight.shape):
        row = y * synapse.stride[0] - synapse.padding[0] + ky * dilation[0]
        column = x * synapse.stride[1] - synapse.padding[1] + kx * dilation[1]
        if 0 <= row < shape[1] and 0 <= column < shape[2]:
            found.append((weight[i, ky, kx], np.ravel_multi_index((first + i, row, column), shape)))
    return found


def _decay(x, keep):
    return (1 if x >= 0 else -1) * (abs(x) * keep >> 12)


def _integrate(network, neuron, u, v, a, keep, bias):
    if not network.fixed:
        u = u * Fraction(neuron.ukeep) + a
        return u, v * keep + u + bias
    u = _decay(u, neuron.ukeep) + a * 64
    return u, max(-(2**23) + 1, min(2**23 - 1, _decay(v, keep) + u + bias))


def _neuron_by_neuron(network, inputs, gops, steps):
    unit = 64 if network.fixed else 1
    spikes = {x.name: np.zeros((gops, steps, *x.shape), np.uint8) for x in network.layers}
    potentials = {x.name: np.zeros((gops, steps, *x.shape), np.float64) for x in network.layers}
    for g, t in np.ndindex(gops, steps):
        if t == 0:
            state = {x.name: dict.fromkeys(np.ndindex(*x.shape), (0, 0)) for x in network.layers}
        values = {p.name: inputs[p.name][g, t] for p in network.inputs}
        for layer in network.layers:
            n = layer.neuron
            fired = np.zeros(layer.shape, np.uint8)
            for place, (u, v) in state[layer.name].items():
                if n.reset_interval and t % n.reset_interval == 0:
                    u, v = 0, 0
                a = sum(
                    _number(w) * _number(values[c.source].reshape(-1)[i])
                    for c in layer.connections
                    for w, i in _synapses_of(c.synapse, values[c.source].shape, place)
                )
                keep, vth, bias = (_number(z[place[0] if len(z) > 1 else 0]) for z in (n.keep, n.vth, n.bias))
                u, v = _integrate(network, n, u, v, a, keep, bias)
                if not n.readout and v > vth * unit:
                    fired[place] = 1
                    v = {Reset.ZERO: 0, Reset.SOFT: v - vth * unit, Reset.NONE: v}[n.reset]
                state[layer.name][place] = u, v
                potentials[layer.name][g, t][place] = v
            values[layer.name] = spikes[layer.name][g, t] = fired
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
def test_the_float_reference_equals_the_contract_in_fractions_where_every_value_is_dyadic(float_cases, data):
    network, inputs = data.draw(float_cases(dyadic=True))
    gops, steps = next(iter(inputs.values())).shape[:2]
    expected = _neuron_by_neuron(network, inputs, gops, steps)
    assert first_difference(network, reference.run(network, inputs), expected) is None


@given(data=st.data())
@settings(max_examples=40)
def test_a_network_read_back_from_disk_gives_the_same_bits_and_the_same_files(
    cases, float_cases, data, tmp_path_factory
):
    network, inputs = data.draw(st.one_of(cases(), float_cases(dyadic=False)))
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    write(network, first)
    again = read(first)
    write(again, second)
    for file in ("spiking.json", "spiking.safetensors"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    assert first_difference(network, reference.run(network, inputs), reference.run(again, inputs)) is None


def test_files_of_schema_1_give_the_recording_of_their_day(data_dir):
    folder = data_dir / "network-1"
    network = read(folder)
    saved = np.load(folder / "recording.npz")
    record = reference.run(network, {name: saved[name] for name in ("in", "ev")})
    assert np.array_equal(record.spikes["first"], saved["spikes"])
    assert np.array_equal(record.potentials["out"], saved["potentials"])
    assert network.layer("out").scale.tolist() == [0.125]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"schema_version": 9}, "schema version 9"),
        ({"schema_version": 1}, "not a spiking network"),
        ({"layers": 3}, "not a spiking network"),
        ({"arithmetic": "complex"}, "not a spiking network"),
    ],
)
def test_a_structure_that_is_none_of_ours_is_refused(tmp_path, change, what):
    write(_one_layer(), tmp_path)
    path = tmp_path / "spiking.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(NetworkError, match=what):
        read(tmp_path)


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
