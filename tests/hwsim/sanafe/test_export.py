"""What is exported for SANA-FE: synapses one by one, copies of inputs, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwsim.chip import ChipError, load
from hwsim.mapping import map_network
from hwsim.sanafe import export
from hwsim.sanafe.synapses import synapses
from snn_export import reference
from snn_export.network import Connection, NetworkError, SpikingNetwork


@given(data=st.data())
def test_synapses_one_by_one_give_the_sums_of_the_reference_and_none_is_zero(cases, data):
    network, inputs = data.draw(cases(size=(1, 1)))
    values = {name: x[0, 0].astype(np.int64) for name, x in inputs.items()}
    for layer in network.layers:
        sums = np.zeros(layer.size, np.int64)
        for connection in layer.connections:
            found = synapses(connection.synapse, network.shapes[connection.source], layer.shape)
            assert (found.weight != 0).all()
            np.add.at(sums, found.target, found.weight * values[connection.source].reshape(-1)[found.source])
        assert np.array_equal(sums.reshape(layer.shape), reference.accumulate(layer, values))
        values[layer.name] = np.ones(layer.shape, np.int64)


def test_an_input_value_enters_once_at_each_tile_that_it_reaches(line, line_mapping, line_input):
    chip = load("loihi1-fitted")
    data = export(line, line_mapping(chip), chip, line_input)
    (host,) = data["inputs"]
    # rows of the first layer are on tiles (0, 0) and (2, 1) of a mesh of four rows
    assert host["tile"] == [0, 0, 9, 9]
    assert host["core"] == [4, 4, 4, 4]
    assert host["soma"] == ["host[0]", "host[1]", "host[0]", "host[1]"]
    assert host["spikes"] == [[1, 0], [0, 0], [1, 0], [1, 0]]
    assert [edge["unit"] for edge in data["edges"]] == ["synapse_conv", "synapse_dense"]
    assert [len(edge["pairs"]) for edge in data["edges"]] == [4, 6]  # two weights of the matrix are zero


def test_dynamics_that_sanafe_lacks_are_refused_unless_firing_is_imposed(line, line_input):
    chip = load("loihi1-fitted")
    first, second = line.layers
    late = replace(second, connections=(*second.connections, Connection("in", second.connections[0].synapse)))
    current, clock = (replace(first, neuron=replace(first.neuron, **x)) for x in ({"ukeep": 9}, {"reset_interval": 2}))
    for layers, word in (((first, late), "length"), ((current, second), "current"), ((clock, second), "clock")):
        network = SpikingNetwork(line.inputs, layers)
        mapping = map_network(network, chip)
        with pytest.raises(NetworkError, match=word):
            export(network, mapping, chip, line_input)
        idle = {layer.name: np.zeros((2, *layer.shape), int) for layer in layers}
        assert export(network, mapping, chip, line_input, idle)["forget"]
        with pytest.raises(NetworkError, match="0, 1 or 2"):
            export(network, mapping, chip, line_input, idle | {"out": np.full((2, 2), 3)})


def test_chips_and_cores_that_sanafe_cannot_be_are_refused(line, line_input):
    tianjic, loihi = load("tianjic"), load("loihi2")
    with pytest.raises(ChipError, match="phases"):
        export(line, map_network(line, tianjic), tianjic, line_input)
    fire = line.layers[0]
    large = SpikingNetwork((replace(line.inputs[0], shape=(1, 40, 40)),), (replace(fire, shape=(1, 40, 40)),))
    with pytest.raises(ChipError, match="1600 neurons, SANA-FE 1024"):
        export(large, map_network(large, loihi), loihi, {"in": np.zeros((1, 1, 1, 40, 40), np.int8)})


def test_more_than_one_gop_is_refused(line, line_input):
    chip = load("loihi1-fitted")
    with pytest.raises(NetworkError, match="2 GOPs"):
        export(line, map_network(line, chip), chip, {"in": np.repeat(line_input["in"], 2, 0)})
