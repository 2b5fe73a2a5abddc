"""netx files without Lava: round trips, what is refused, damaged files."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from unittest import mock

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_export import hdf5, netx, reference
from snn_export.compare import first_difference
from snn_export.network import LIF, Connection, Conv2d, Dense, InputPort, Layer, NetworkError, Reset, SpikingNetwork
from snn_export.netx.dense import effective


def _lif(vth=10, **options):
    return LIF(np.array([3000], np.int32), np.array([vth], np.int32), **options)


def _chain(*, bits=1, weight=3, first=None, last=None):
    """A convolution and a dense read-out."""
    conv = Conv2d(np.full((2, 1, 3, 3), weight, np.int8), padding=(1, 1))
    dense = Dense(np.arange(-16, 16, dtype=np.int8)[None])
    layers = (
        Layer("a", (2, 4, 4), (Connection("in", conv),), first or _lif()),
        Layer("b", (1,), (Connection("a", dense),), last or _lif(reset=Reset.NONE, readout=True)),
    )
    return SpikingNetwork((InputPort("in", (1, 4, 4), bits, 0.5),), layers)


@given(data=st.data())
@settings(max_examples=60)
def test_a_network_written_and_read_again_gives_the_same_bits_names_and_file(cases, data, tmp_path_factory):
    network, inputs = data.draw(cases(resets=(Reset.ZERO,), graph=False, interval=False, bias=False))
    layers = tuple(replace(x, neuron=replace(x.neuron, vth=x.neuron.vth[:1])) for x in network.layers)
    network = SpikingNetwork(network.inputs, layers)
    path = tmp_path_factory.mktemp("netx") / "a.net"
    if reasons := netx.check(network):
        with pytest.raises(NetworkError, match=r".") as error:
            netx.write(network, path)
        assert error.value.where == reasons[0].where
        assert not path.exists()
        return
    netx.write(network, path)
    with mock.patch.object(hdf5, "_try_out"):  # the child process, for speed: the file is whole
        again = netx.read(path)
    assert again.inputs == network.inputs
    assert [x.name for x in again.layers] == [x.name for x in network.layers]
    assert all(np.array_equal(a.scale, b.scale) for a, b in zip(again.layers, network.layers, strict=True))
    assert first_difference(network, reference.run(network, inputs), reference.run(again, inputs)) is None
    assert netx.dumps(again) == path.read_bytes()


def test_weights_of_nine_bits_become_parallel_connections_and_are_written_as_one_again(tmp_path):
    path = tmp_path / "a.net"
    netx.write(_chain(), path)
    wide = np.array([[[[254, -256, 2]]]], np.float32)
    with h5py.File(path, "r+") as file:
        del file["layer/1/weight"], file["layer/1/shape"], file["layer/2"], file["layer/3"]
        file["layer/1/weight"], file["layer/1/shape"] = wide, [1, 6, 4]
    network = netx.read(path)
    parts = [connection.synapse.weight for connection in network.layers[0].connections]
    assert [part.dtype for part in parts] == [np.int8, np.int8]
    assert np.array_equal(np.sum(parts, 0, dtype=int), wide)
    netx.write(network, tmp_path / "b.net")
    with h5py.File(tmp_path / "b.net") as file:
        assert np.array_equal(file["layer/1/weight"], wide)


def test_two_streams_become_two_networks_with_their_own_layers(cases):
    one = _chain()
    other = _chain()
    ports = (replace(one.inputs[0], name="x"), replace(other.inputs[0], name="y"))
    layers = [
        replace(x, name=f"{p}{x.name}", connections=tuple(
            replace(c, source=p if c.source == "in" else f"{p}{c.source}") for c in x.connections))
        for x in one.layers for p in "xy"
    ]  # fmt: skip
    parts = netx.streams(SpikingNetwork(ports, tuple(layers)))
    assert {name: [x.name for x in part.layers] for name, part in parts.items()} == {
        "x": ["xa", "xb"], "y": ["ya", "yb"],
    }  # fmt: skip


BIAS = np.array([64, 100], np.int32)


@pytest.mark.parametrize(
    ("network", "where", "what"),
    [
        (_chain(first=_lif(reset=Reset.SOFT)), "$.layers[a].neuron.reset", "'soft'"),
        (_chain(first=_lif(reset=Reset.NONE)), "$.layers[a].neuron.reset", "'none'"),
        (_chain(first=_lif(reset_interval=3)), "$.layers[a].neuron.reset_interval", "periodic"),
        (_chain(first=replace(_lif(), vth=np.array([1, 2], np.int32))), "$.layers[a].neuron.vth", "differs"),
        (_chain(first=_lif(bias=BIAS)), "$.layers[a].neuron.bias", "multiples of 64"),
        (_chain(last=_lif(bias=np.array([2**18], np.int32))), "$.layers[b].neuron.bias", "13 bits"),
    ],
)
def test_what_netx_cannot_say_is_refused_with_its_place(network, where, what, tmp_path):
    with pytest.raises(NetworkError, match="fix:") as error:
        netx.write(network, tmp_path / "a.net")
    assert error.value.where == where
    assert what in error.value.what
    assert not list(tmp_path.iterdir())


def _skip(network):
    dense = Dense(np.ones((1, 16), np.int8))
    extra = replace(network.layers[1], connections=(*network.layers[1].connections, Connection("in", dense)))
    return SpikingNetwork(network.inputs, (network.layers[0], extra))


def _lowest():
    return Dense(np.array([[-128] + [-3] * 31], np.int8))


@pytest.mark.parametrize(
    ("network", "where", "what"),
    [
        (_skip(_chain()), "$.layers[b].connections", "it hears ['in']"),
        (
            SpikingNetwork(
                _chain().inputs,
                (_chain().layers[0], replace(_chain().layers[1], connections=(Connection("a", _lowest()),))),
            ),
            "$.layers[b].connections",
            "-128..-3",
        ),
    ],
)
def test_branches_and_matrices_that_would_lose_bits_are_refused(network, where, what):
    with pytest.raises(NetworkError, match="fix:") as error:
        netx.dumps(network)
    assert error.value.where == where
    assert what in error.value.what


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ([[3, -5]], [[3, -5]]),
        ([[300, -2]], [[254, -2]]),
        ([[255, 1]], [[255, 1]]),
        # -128 alone of its sign fills the 8 bits by one too many
        ([[-128, -5]], [[-127, -5]]),
        ([[0, 0]], None),
        ([[256, 1]], None),
    ],
)
def test_a_matrix_goes_through_lohis_synapse_as_netx_sends_it(weight, expected):
    found = effective(np.array(weight))
    assert (None if found is None else found.tolist()) == expected


def _edit(path, key, value):
    with h5py.File(path, "r+") as file:
        if key in file:
            del file[key]
        if value is not None:
            file[key] = value


@pytest.mark.parametrize(
    ("key", "value", "where", "what"),
    [
        ("layer", None, "/layer", "missing"),
        ("layer/0", None, "/layer/0", "missing"),
        ("layer/1/type", "pool", "/layer/1/type", "'pool'"),
        ("layer/1/type", "average", "/layer/1/type", "'average'"),
        ("layer/1/type", "dense_rec", "/layer/1/type", "'dense_rec'"),
        ("layer/1/type", "banana", "/layer/1/type", "'banana'"),
        ("layer/1/type", 7, "/layer/1/type", "text"),
        ("layer/1/neuron/type", "SDNN", "/layer/1/neuron/type", "'SDNN'"),
        ("layer/1/delay", np.array([0, 3]), "/layer/1/delay", "not 0"),
        ("layer/1/neuron/refDelay", 2, "/layer/1/neuron/refDelay", "not 1"),
        ("layer/1/neuron/gradedSpike", True, "/layer/1/neuron/gradedSpike", "not 0"),
        ("layer/1/neuron/iDecay", np.array([1, 2]), "/layer/1/neuron/iDecay", "2 different"),
        ("layer/1/neuron/vDecay", np.ones(5, int), "/layer/1/neuron/vDecay", "5 values"),
        ("layer/1/weight", np.full((2, 1, 3, 3), np.nan), "/layer/1/weight", "finite"),
        ("layer/1/weight", np.full((2, 1, 3, 3), 300), "/layer/1/weight", "300"),
        ("layer/1/weight", np.ones(4), "/layer/1/weight", "not (out, in"),
        ("layer/1/stride", np.array([0, 1]), "/layer/1/weight", "does not fit"),
        ("layer/1/shape", np.array([2, 4, 5]), "/layer/1/shape", "(2, 4, 5)"),
        ("layer/1/bias", np.ones(5), "/layer/1/bias", "5 values"),
        ("layer/1/bias", np.full(2, 5000), "/layer/1/bias", "5000"),
        ("layer/2", None, "/layer/2", "missing"),
        ("layer/3/weight", np.zeros((1, 32)), "/layer/3/weight", "cannot run"),
        ("layer/0/shape", np.array([1, 4]), "$.inputs[in].shape", "(1, 4)"),
        ("layer/1/neuron/vThMant", -3, "$.layers[a].neuron.vth", "-3"),
        ("layer/1/neuron/vDecay", 5000, "$.layers[a].neuron.keep", "-904"),
    ],
)
def test_a_netx_file_that_cannot_run_is_refused_with_file_and_field(tmp_path, key, value, where, what):
    path = tmp_path / "a.net"
    netx.write(_chain(), path)
    _edit(path, key, value)
    with pytest.raises(NetworkError, match="fix:") as error:
        netx.read(path)
    assert error.value.where.endswith(where)
    assert what in error.value.what


def test_a_convolution_first_needs_the_shape_of_its_input(tmp_path):
    path = tmp_path / "a.net"
    netx.write(_chain(), path)
    with h5py.File(path, "r+") as file:
        del file["layer/0"]
        for i in (1, 2, 3):
            file.move(f"layer/{i}", f"layer/{i - 1}")
    with pytest.raises(NetworkError, match="pass input_shape"):
        netx.read(path)
    assert netx.read(path, bits=8, input_shape=(1, 4, 4)).inputs[0].bits == 8


@pytest.mark.parametrize("content", [b"", b"{}", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\0" * 4000])
def test_a_file_that_is_not_hdf5_or_cut_off_is_refused(tmp_path, content):
    path = tmp_path / "a.net"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match=r"a\.net"):
        netx.read(path)
    with pytest.raises(NetworkError, match="cannot be read"):
        netx.read(tmp_path / "absent.net")


@given(data=st.data())
@settings(max_examples=20)
def test_a_damaged_file_gives_a_network_or_a_clear_error(data, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.net"
    content = bytearray(netx.dumps(_chain()))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    # any other exception fails the test
    with mock.patch.object(hdf5, "TRIAL_S", 4.0), contextlib.suppress(NetworkError):
        assert isinstance(netx.read(path), SpikingNetwork)


def test_writing_without_h5py_names_the_library_and_exit_code_5(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(NetworkError, match="pip install h5py") as error:
        netx.dumps(_chain())
    assert error.value.exit_code == 5
