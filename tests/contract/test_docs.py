"""The table of features in the documentation says what the code does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwsim.chip import load
from hwsim.engine import run
from hwsim.mapping import map_network
from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.network import (
    LIF,
    Arithmetic,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
)

PAGE = Path(__file__).parents[2] / "docs" / "spiking.md"


def _i32(*values):
    return np.array(values, np.int32)


def _layer(name="out", source="in", synapse=None, shape=(2, 4, 4), **neuron):
    synapse = synapse or Conv2d(np.full((2, 2, 1, 1), 3, np.int8))
    constants = {"keep": _i32(3000), "vth": _i32(2), **neuron}
    return Layer(name, shape, (Connection(source, synapse),), LIF(**constants))


def _network(*layers, bits=1, **neuron):
    return SpikingNetwork((InputPort("in", (2, 4, 4), bits),), layers or (_layer(**neuron),))


def _join(*sources):
    end = _layer("end", "out")
    synapse = end.connections[0].synapse
    return replace(end, connections=tuple(Connection(source, synapse) for source in sources))


def _float():
    layer = _layer(keep=np.array([0.5]), vth=np.array([2.0]), bias=np.zeros(1))
    weight = np.full((2, 2, 1, 1), 1.5, np.float32)
    layer = replace(layer, connections=(Connection("in", Conv2d(weight)),))
    return SpikingNetwork((InputPort("in", (2, 4, 4), 1),), (layer,), Arithmetic.FLOAT)


WIDE = Conv2d(np.ones((2, 1, 2, 2), np.int8), (2, 1), (1, 1), (1, 2), 2)
FEATURES = {
    "`Conv2d`: stride, padding, dilation, groups": _network(_layer(synapse=WIDE, shape=(2, 3, 4))),
    "`Dense`": _network(_layer(synapse=Dense(np.ones((3, 32), np.int8)), shape=(3,))),
    "`Sparse`: a list of single synapses": _network(
        _layer(synapse=Sparse(np.array([5, -3], np.int8), _i32(0, 2), _i32(7, 1), (3, 32)), shape=(3,))
    ),
    "`SumPool2d`": _network(_layer(synapse=SumPool2d((2, 2), (2, 2)), shape=(2, 2, 2))),
    "graded input": _network(bits=8),
    "branches and joins of equal depth": _network(_layer("a"), _layer("b"), _join("a", "b")),
    "joins of different depth": _network(_layer("a"), _layer("b", "a"), _join("a", "b")),
    "reset to zero": _network(reset=Reset.ZERO),
    "soft reset": _network(reset=Reset.SOFT),
    "no reset": _network(reset=Reset.NONE),
    "read-out layer": _network(readout=True, reset=Reset.NONE),
    "`reset_interval`": _network(reset_interval=2),
    "current memory (`ukeep`) below 2^23": _network(ukeep=2000),
    "current memory beyond 2^23": _network(ukeep=4096),
    "bias": _network(bias=_i32(5)),
    "`keep` per channel": _network(keep=_i32(4096, 100)),
    "`vth` per channel": _network(vth=_i32(2, 5)),
    "kernel, stride, padding, dilation or groups above 127": _network(
        _layer(synapse=Conv2d(np.ones((2, 2, 1, 1), np.int8), (1, 128)), shape=(2, 4, 1))
    ),
    "float arithmetic": _float(),
}


def _table():
    rows = re.findall(r"^\| (.+?) \| (yes|no) \| (yes|no) \| (yes|no) \| (yes|no) \|$", PAGE.read_text(), re.M)
    return {name: dict(zip(("reference", "hwsim", "fused", "stock"), marks, strict=True)) for name, *marks in rows}


def test_the_table_has_exactly_the_features_that_are_tried():
    assert list(_table()) == list(FEATURES)


@pytest.mark.parametrize("feature", FEATURES)
def test_each_executor_takes_what_the_table_says_and_refuses_the_rest(feature):
    network, marks = FEATURES[feature], _table()[feature]
    rng = np.random.default_rng(0)
    inputs = {port.name: rng.integers(*port.interval, (2, 3, *port.shape), endpoint=True) for port in network.inputs}
    expected = reference.run(network, inputs)
    assert marks["reference"] == "yes"
    assert any(x.any() for x in (*expected.spikes.values(), *expected.potentials.values()))
    if marks["hwsim"] == "yes":
        found = run(network, inputs, map_network(network, load("loihi2"))).recording
        assert first_difference(network, expected, found) is None
    else:
        with pytest.raises(NetworkError, match="quantise it first"):
            run(network, inputs)
    for lowering in ("fused", "stock"):
        assert bool(lava.check(network, lowering)) == (marks[lowering] == "no"), lowering
