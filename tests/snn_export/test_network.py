"""What a network refuses, and where it says the fault lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from snn_export import reference
from snn_export.network import (
    LIF,
    REAL,
    Arithmetic,
    Connection,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Sparse,
    SpikingNetwork,
    SumPool2d,
    accumulator_interval,
)

FIXED = LIF(np.array([1], np.int32), np.array([1], np.int32))
FLOAT = LIF(np.array([0.5]), np.array([1.0]), bias=np.zeros(1))


def _i32(*values):
    return np.array(values, np.int32)


def _network(synapse, shape=(2,), neuron=FIXED, source=(3,), bits=1, **rest):
    layer = Layer("out", shape, (Connection("in", synapse),), neuron, **rest)
    arithmetic = Arithmetic.FIXED if neuron.keep.dtype.kind == "i" else Arithmetic.FLOAT
    return SpikingNetwork((InputPort("in", source, bits),), (layer,), arithmetic)


def _sparse(rows, columns, weight=None, size=(2, 3)):
    weight = np.ones(len(rows), np.int8) if weight is None else weight
    return Sparse(weight, np.asarray(rows, np.int32), np.asarray(columns, np.int32), size)


@pytest.mark.parametrize(
    ("synapse", "field", "what"),
    [
        (_sparse([0, 2], [0, 0]), "rows", "0..2 leaves 0..1"),
        (_sparse([0, 1], [-1, 0]), "columns", "-1..0 leaves 0..2"),
        (_sparse([1, 0], [0, 0]), "rows", "not sorted"),
        (_sparse([0, 0], [2, 1]), "rows", "not sorted"),
        (_sparse([1, 1], [2, 2]), "rows", "each once"),
        (_sparse([], []), "weight", "shape (0,)"),
        (_sparse([0, 1], [0, 1], np.ones(3, np.int8)), "rows", "shape (2,)"),
        (_sparse([0], [0], np.ones(1, np.int16)), "weight", "int16"),
        (_sparse([0], [0], size=(2, 4)), "synapse", "do not take 3 values"),
        (_sparse([0], [0], size=(4, 3)), "synapse", "it produces (4,), the layer has (2,)"),
        (SumPool2d((2, 2), (1, 1)), "synapse", "need (C, H, W), not (3,)"),
    ],
)
def test_synapses_that_cannot_be_are_refused_with_their_place(synapse, field, what):
    with pytest.raises(NetworkError) as error:
        _network(synapse)
    assert error.value.where == f"$.layers[out].connections[0].{field}"
    assert what in error.value.what
    assert error.value.fix


def test_windows_of_no_size_and_windows_larger_than_the_map_are_refused():
    for pool, what in ((SumPool2d((0, 1), (1, 1)), "need"), (SumPool2d((5, 1), (1, 1)), "does not fit")):
        with pytest.raises(NetworkError, match=what):
            _network(pool, (2, 4, 4), source=(2, 4, 4))


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"keep": np.array([1.01])}, "neuron.keep", "1.01"),
        ({"keep": np.array([np.nan])}, "neuron.keep", "not finite"),
        ({"vth": np.array([-0.1])}, "neuron.vth", "-0.1"),
        ({"vth": np.array([np.inf])}, "neuron.vth", "not finite"),
        ({"bias": np.array([np.nan])}, "neuron.bias", "not finite"),
        ({"ukeep": 1.5}, "neuron.ukeep", "1.5"),
        ({"reset_interval": -1}, "neuron.reset_interval", "-1 steps"),
    ],
)
def test_float_constants_out_of_range_are_refused_with_their_place(change, where, what):
    with pytest.raises(NetworkError) as error:
        _network(Dense(np.ones((2, 3), np.float32)), neuron=replace(FLOAT, **change))
    assert error.value.where == f"$.layers[out].{where}"
    assert what in error.value.what


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value):
    with pytest.raises(NetworkError, match="not finite") as error:
        _network(Dense(np.array([[0, 1, value]] * 2, np.float64)), neuron=FLOAT)
    assert error.value.where == "$.layers[out].connections[0].weight"


def test_arithmetics_do_not_mix():
    with pytest.raises(NetworkError, match="int8"):
        _network(Dense(np.ones((2, 3), np.int8)), neuron=FLOAT)
    with pytest.raises(NetworkError, match="float32"):
        _network(Dense(np.ones((2, 3), np.float32)))
    with pytest.raises(NetworkError, match="real numbers enter"):
        _network(Dense(np.ones((2, 3), np.int8)), bits=REAL)
    with pytest.raises(NetworkError, match=r"0\.5") as error:
        _network(Dense(np.ones((2, 3), np.int8)), neuron=replace(FIXED, ukeep=0.5))
    assert error.value.where == "$.layers[out].neuron.ukeep"


def test_real_inputs_have_to_be_finite():
    network = _network(Dense(np.ones((2, 3), np.float32)), neuron=FLOAT, bits=REAL)
    values = np.array([[[0.25, 0, 0.5]]])
    assert reference.run(network, {"in": values}).potentials["out"].tolist() == [[[0.75, 0.75]]]
    values[0, 0, 0] = np.nan
    with pytest.raises(NetworkError, match="not all finite"):
        reference.run(network, {"in": values})


def test_a_scale_per_channel_turns_potentials_into_real_numbers():
    network = _network(Dense(np.ones((2, 3), np.int8)), scale=np.array([1.0, 0.5]))
    assert network.real_potentials("out", np.array([[64, 64]], np.int32)).tolist() == [[1.0, 0.5]]
    real = _network(Dense(np.ones((2, 3), np.float32)), neuron=FLOAT, scale=np.array([1.0, 0.5]))
    assert real.real_potentials("out", np.array([[64, 64]])).tolist() == [[64.0, 32.0]]
    for scale in (np.array([1.0, 0.0]), np.ones(3), np.array([np.nan]), np.array([1])):
        with pytest.raises(NetworkError) as error:
            _network(Dense(np.ones((2, 3), np.int8)), scale=scale)
        assert error.value.where == "$.layers[out].scale"


def test_the_interval_of_sparse_and_pooled_sums_is_that_of_their_weights():
    sparse = _network(_sparse([0, 0, 1], [0, 2, 1], np.array([5, -3, 7], np.int8)), bits=4)
    assert accumulator_interval(sparse.layers[0], {"in": (-8, 7)}) == (-61, 59)
    pool = _network(SumPool2d((2, 3), (1, 1)), (2, 3, 2), source=(2, 4, 4), bits=4)
    assert accumulator_interval(pool.layers[0], {"in": (-8, 7)}) == (-48, 42)
    with pytest.raises(NetworkError, match=r"2\^17"):
        _network(SumPool2d((2, 2), (1, 1)), (1, 1, 1), source=(1, 2, 2), bits=16)
