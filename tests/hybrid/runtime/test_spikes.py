"""Input files: both formats, both layouts, and what is wrong with a file said with its place."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from hybrid.errors import BadInputError
from hybrid.runtime.spikes import random_spikes, read_spikes
from snn_export.network import LIF, Connection, Dense, InputPort, Layer, SpikingNetwork


@pytest.fixture(scope="module")
def network():
    """A port of spikes `s` [3] and a port of 4 bits `g` [1, 2, 2] into one neuron."""
    ports = InputPort("s", (3,), 1), InputPort("g", (1, 2, 2), 4)
    connections = Connection("s", Dense(np.ones((1, 3), np.int8))), Connection("g", Dense(np.ones((1, 4), np.int8)))
    return SpikingNetwork(ports, (Layer("out", (1,), connections, LIF(*np.array([[0], [1]], np.int32))),))


GOOD = {"s": np.ones((4, 3), bool), "g": np.full((4, 1, 2, 2), -8, np.int8)}


@given(data=st.data())
@settings(max_examples=30)
def test_what_was_saved_comes_back_from_both_formats_and_as_whole_floats(cases, data, tmp_path_factory):
    network, inputs = data.draw(cases())
    folder = tmp_path_factory.mktemp("spikes")
    number = data.draw(st.sampled_from([np.int16, np.int64, np.float32, np.float64]))
    batched = data.draw(st.booleans())
    arrays = {name: np.ascontiguousarray(x if batched else x[0], number) for name, x in inputs.items()}
    np.savez_compressed(folder / "a", **arrays)
    save_file(arrays, folder / "b")
    for name in ("a.npz", "b"):
        found = read_spikes(folder / name, network)
        assert set(found) == set(inputs)
        for port, values in inputs.items():
            assert np.array_equal(found[port], values if batched else values[:1])
            assert found[port].dtype.kind == "i"


@pytest.mark.parametrize(
    ("changes", "steps", "where", "what"),
    [
        ({"s": None}, None, "", "arrays named ['g']"),
        ({"t": np.ones((4, 3))}, None, "", "'t'"),
        ({"s": np.ones((4, 2))}, None, "s", "shape [4, 2]"),
        ({"s": np.ones(3)}, None, "s", "shape [3]"),
        ({"s": np.ones((0, 3))}, None, "s", "shape [0, 3]"),
        ({"g": np.ones((1, 1, 4, 1, 2, 2))}, None, "g", "shape [1, 1, 4, 1, 2, 2]"),
        ({"s": np.ones((4, 3), complex)}, None, "s", "complex128"),
        ({"s": np.full((4, 3), "1")}, None, "s", "<U1"),
        ({"s": np.full((4, 3), np.nan)}, None, "s", "finite"),
        ({"s": np.full((4, 3), 2)}, None, "s", "leave 0..1"),
        ({"g": np.full((4, 1, 2, 2), 1e300)}, None, "g", "leave -8..7"),
        ({"g": np.full((4, 1, 2, 2), 0.5)}, None, "g", "fractions"),
        ({"s": np.ones((5, 3))}, None, "", "'s' 1 and 5, 'g' 1 and 4"),
        ({}, 5, "", "4 steps, and --steps says 5"),
    ],
)
def test_a_wrong_array_is_named_with_what_is_wrong(network, tmp_path, changes, steps, where, what):
    arrays = {name: x for name, x in {**GOOD, **changes}.items() if x is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(BadInputError) as error:
        read_spikes(tmp_path / "a.npz", network, steps)
    assert what in error.value.what
    assert error.value.where == str(tmp_path / "a.npz") + (f": {where}" if where else "")


def test_no_file_of_another_kind_is_read_and_nothing_is_unpickled(network, tmp_path):
    (tmp_path / "notes").write_text("no spikes")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "pickle").write_bytes(pickle.dumps({"s": [1]}))
    np.savez(tmp_path / "object.npz", s=np.array([{"a": 1}], object), g=GOOD["g"])
    np.savez(tmp_path / "whole.npz", **GOOD)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "flipped").write_bytes(bytes(b ^ 255 if 60 < i < 200 else b for i, b in enumerate(whole)))
    for name in ("notes", "empty", "pickle", "object.npz", "cut", "flipped", "absent", "."):
        with pytest.raises(BadInputError) as error:
            read_spikes(tmp_path / name, network)
        assert error.value.where == str(tmp_path / name)
        assert ".npz or .safetensors" in error.value.fix


def test_random_input_fits_every_port_and_has_the_rate_asked_for(network):
    values = random_spikes(network, 4000, 0.25, seed=1)
    assert values["s"].shape == (1, 4000, 3)
    for port in network.inputs:
        low, high = port.interval
        found = set(np.unique(values[port.name]).tolist())
        assert found == set(range(low, high + 1))
        # 12,000 and 16,000 draws: five standard deviations are 0.02
        assert abs((values[port.name] != 0).mean() - 0.25) < 0.02
    again, other = (random_spikes(network, 4000, 0.25, seed=seed) for seed in (1, 2))
    assert np.array_equal(again["g"], values["g"])
    assert not np.array_equal(other["g"], values["g"])
    assert not random_spikes(network, 5, 0.0, 0)["g"].any()
