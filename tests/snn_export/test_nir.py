"""NIR out and in: exact round trips, physical parameters, foreign files, norse by numbers, damage."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from dataclasses import replace
from unittest import mock

import nir as library
import norse.torch as norse
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from norse.torch.module.leaky_integrator_box import LIBoxCell, LIBoxParameters
from norse.torch.module.lif_box import LIFBoxCell, LIFBoxFeedForwardState, LIFBoxParameters

from hwsim import engine
from snn_export import files, hdf5, nir, reference
from snn_export.compare import first_difference
from snn_export.network import (
    LIF,
    REAL,
    Arithmetic,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
)
from snn_export.quantize import quantize_network

DT = 1e-3


def _graph(*members, **edges):
    """A chain of nodes by name, with more edges on demand."""
    nodes = dict(members)
    names = list(nodes)
    pairs = [*itertools.pairwise(names), *edges.get("more", [])]
    return library.NIRGraph(nodes, pairs, type_check=False)


def _full(value, *shape):
    return np.full(shape, value, np.float32)


def _lif(*shape, tau=5e-3, r=1.0, vth=1.0, **options):
    leak = options.pop("v_leak", 0.0)
    return library.LIF(_full(tau, *shape), _full(r, *shape), _full(leak, *shape), _full(vth, *shape), **options)


@given(data=st.data(), real=st.booleans())
@settings(max_examples=40)
def test_a_network_written_and_read_again_is_exactly_the_same(cases, float_cases, data, real, tmp_path_factory):
    network, _ = data.draw(float_cases(False) if real else cases())
    path = tmp_path_factory.getbasetemp() / "same.nir"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nir.write(network, path, data.draw(st.sampled_from([1e-4, 0.1, 1.0])))
    content = path.read_bytes()
    with mock.patch.object(hdf5, "_try_out"):  # the child process, for speed: the file is whole
        again = nir.read(path)
    assert files.dumps(again) == files.dumps(network)
    assert nir.dumps(again, library.read(path, type_check=False).metadata["snn_export"]["dt"]) == content


@given(data=st.data())
@settings(max_examples=60)
def test_the_physical_graph_alone_gives_the_same_dynamics(float_cases, data):
    plain = float_cases(False, resets=(Reset.ZERO,), interval=False)
    network, inputs = data.draw(plain)
    graph = nir.to_graph(network, DT)
    graph.metadata = {}
    again = nir.from_graph(graph, dt=DT)
    assert set(again.shapes) == set(network.shapes)
    again = SpikingNetwork(network.inputs, again.layers, Arithmetic.FLOAT)
    expected, found = reference.run(network, inputs), reference.run(again, inputs)
    for layer in network.layers:
        a, b = expected.potentials[layer.name], found.potentials[layer.name]
        # float32 parameters may tip a potential that stands within rounding of its threshold
        assume(np.array_equal(expected.spikes[layer.name], found.spikes[layer.name]))
        assert np.allclose(a, b, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(a).max())), layer.name


def test_what_nir_cannot_say_is_warned_of_and_named_in_the_file(tmp_path):
    neuron = LIF(np.array([3000], np.int32), np.array([9], np.int32), Reset.SOFT, reset_interval=4)
    layer = Layer("a", (1,), (Connection("in", Dense(np.ones((1, 2), np.int8))),), neuron)
    network = SpikingNetwork((InputPort("in", (2,), 1),), (layer,))
    with pytest.warns(UserWarning, match=r"reset 'soft'.*every 4 steps"):
        nir.write(network, tmp_path / "a.nir")
    assert "reset 'soft'" in library.read(tmp_path / "a.nir").metadata["snn_export"]["unsaid"]


def test_the_exported_parameters_are_those_of_the_equations(tmp_path):
    neuron = LIF(np.array([3072], np.int32), np.array([20], np.int32), bias=np.array([128], np.int32))
    layer = Layer("a", (1,), (Connection("in", Dense(np.array([[3, -7]], np.int8))),), neuron, np.array([0.25]))
    network = SpikingNetwork((InputPort("in", (2,), 8, 0.5),), (layer,))
    nir.write(network, tmp_path / "a.nir", dt=2e-3)
    graph = library.read(tmp_path / "a.nir")
    lif, weight = graph.nodes["a"], graph.nodes["a.0.weight"]
    assert lif.tau == pytest.approx(8e-3)
    assert lif.r == pytest.approx(4)
    assert lif.v_threshold == pytest.approx(5)
    assert weight.weight.tolist() == [[1.5, -3.5]]
    assert weight.bias == pytest.approx(0.5)
    assert lif.metadata["dt"] == 2e-3


def test_a_graph_changed_by_another_tool_is_read_by_its_graph(tmp_path):
    layer = Layer("a", (1,), (Connection("in", Dense(np.ones((1, 2), np.int8))),), LIF(*np.array([[0], [9]], np.int32)))
    graph = nir.to_graph(SpikingNetwork((InputPort("in", (2,), 1),), (layer,)))
    graph.nodes["a.0.weight"].weight[0, 1] = 5
    with pytest.warns(UserWarning, match="changed"):
        network = nir.from_graph(graph)
    assert network.layers[0].connections[0].synapse.weight.tolist() == [[1, 5]]


def _run_norse(cell, currents, state=None):
    spikes, potentials = [], []
    for current in torch.tensor(currents, dtype=torch.float64):
        with torch.no_grad():
            z, state = cell(current, state)
        spikes.append(z.numpy())
        potentials.append(state.v.numpy())
    return np.array(spikes), np.array(potentials)


def test_a_lif_layer_gives_norses_spikes_and_potentials():
    rng = np.random.default_rng(0)
    weight = rng.normal(0, 1.2, (6, 9))
    tau = rng.uniform(2e-3, 2e-2, 6)
    fields = (np.ones(6), np.full(6, 0.1), np.full(6, 0.3))
    graph = _graph(
        ("in", library.Input({"input": np.array([9])})), ("fc", library.Linear(weight)),
        ("lif", library.LIF(tau, *fields)), ("out", library.Output({"output": np.array([6])})),
    )  # fmt: skip
    values = (rng.random((1, 200, 9)) < 0.4).astype(np.int16)
    found = reference.run(nir.from_graph(graph, dt=DT, bits=1), {"in": values})
    parameters = LIFBoxParameters(
        tau_mem_inv=1 / torch.tensor(tau), v_th=torch.tensor(0.3, dtype=torch.float64),
        v_leak=torch.tensor(0.1, dtype=torch.float64),
    )  # fmt: skip
    zero = LIFBoxFeedForwardState(torch.zeros(6, dtype=torch.float64))  # norse would start at v_leak
    spikes, potentials = _run_norse(LIFBoxCell(parameters, dt=DT), values[0] @ weight.T, zero)
    assert 0 < spikes.sum() < spikes.size
    assert np.array_equal(found.spikes["lif"][0], spikes)
    assert np.allclose(found.potentials["lif"][0], potentials, atol=1e-6)


def test_a_cubalif_layer_gives_the_spikes_of_norses_lif():
    rng = np.random.default_rng(1)
    weight = rng.normal(0, 1.0, (5, 7))
    one = np.ones(5)
    neuron = library.CubaLIF(0.004 * one, 0.01 * one, one, 0 * one, 0.5 * one, w_in=4 * one)
    graph = _graph(
        ("in", library.Input({"input": np.array([7])})), ("fc", library.Linear(weight)), ("cuba", neuron),
        ("out", library.Output({"output": np.array([5])})),
    )  # fmt: skip
    values = (rng.random((1, 300, 7)) < 0.3).astype(np.int16)
    found = reference.run(nir.from_graph(graph, dt=DT, bits=1), {"in": values})
    # norse adds the input to its current with weight 1: dt / tau_syn * w_in is 1 here
    cell = norse.LIFCell(
        norse.LIFParameters(tau_syn_inv=torch.tensor(1 / 0.004), tau_mem_inv=torch.tensor(1 / 0.01),
                            v_th=torch.tensor(0.5)), dt=DT,
    )  # fmt: skip
    spikes, _ = _run_norse(cell, values[0] @ weight.T)
    assert 0 < spikes.sum() < spikes.size
    assert np.array_equal(found.spikes["cuba"][0], spikes)


def test_a_leaky_readout_gives_norses_potentials():
    rng = np.random.default_rng(2)
    weight, bias = rng.normal(0, 1, (4, 6)), rng.normal(0, 1, 4)
    graph = _graph(
        ("in", library.Input({"input": np.array([6])})), ("fc", library.Affine(weight, bias)),
        ("li", library.LI(_full(0.01, 4), _full(1, 4), _full(0, 4))),
        ("out", library.Output({"output": np.array([4])})),
    )  # fmt: skip
    values = rng.normal(0, 1, (1, 50, 6))
    network = nir.from_graph(graph, dt=DT)
    assert network.readouts == network.layers
    found = reference.run(network, {"in": values})
    cell = LIBoxCell(LIBoxParameters(tau_mem_inv=torch.tensor(100.0)), dt=DT)
    state, expected = None, []
    for current in torch.tensor(values[0] @ weight.T + bias):
        with torch.no_grad():
            v, state = cell(current, state)
        expected.append(v.numpy())
    assert np.allclose(found.potentials["li"][0], expected, atol=1e-5)


def test_a_file_in_snntorchs_convention_has_its_beta_and_its_soft_reset(tmp_path):
    beta, dt = np.array([0.9], np.float32), 1e-4
    tau = dt / (1 - beta)
    # one number for the layer, average pooling and flattening before the matrix
    leaky = {"tau": tau, "r": tau / dt, "v_leak": np.zeros_like(beta), "v_threshold": np.ones_like(beta)}
    conv = library.Conv2d((8, 8), np.ones((2, 1, 3, 3), np.float32) / 4, 1, 1, 1, 1, np.full(2, 0.1, np.float32))
    graph = _graph(
        ("input", library.Input({"input": np.array([1, 8, 8])})), ("0", conv),
        ("1", library.LIF(**leaky)),
        ("2", library.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))),
        ("3", library.Flatten({"input": np.array([2, 4, 4])}, 0, -1)),
        ("4", library.Affine(np.ones((3, 32), np.float32), np.zeros(3, np.float32))),
        ("5", library.LIF(**leaky)),
        ("output", library.Output({"output": np.array([3])})),
    )  # fmt: skip
    library.write(tmp_path / "a.nir", graph)
    network = nir.read(tmp_path / "a.nir", reset=Reset.SOFT)
    first, last = network.layers
    assert first.neuron.keep == pytest.approx(0.9, abs=1e-6)
    assert first.neuron.reset is Reset.SOFT
    assert first.neuron.bias == pytest.approx(0.1)
    assert last.connections[0].synapse.weight == pytest.approx(np.full((3, 128), 0.25))


def test_a_file_in_sinabs_convention_counts_steps(tmp_path):
    spiking = library.IF(_full(1, 1, 2, 3, 3), _full(1, 1, 2, 3, 3))
    graph = _graph(
        ("input", library.Input({"input": np.array([2, 6, 6])})),
        ("0", library.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))), ("1", spiking),
        ("output", library.Output({"output": np.array([2, 3, 3])})),
    )  # fmt: skip
    library.write(tmp_path / "a.nir", graph)
    neuron = nir.read(tmp_path / "a.nir").layers[0].neuron
    assert (neuron.keep, neuron.vth) == (1, 1)
    graph.nodes["1"] = _lif(2, 3, 3, tau=10.0)
    with pytest.raises(NetworkError, match="seconds or steps"):
        nir.from_graph(graph)
    assert nir.from_graph(graph, dt=1).layers[0].neuron.keep == pytest.approx(0.9)


def test_a_graph_that_norse_itself_exports_is_read():
    # norse writes tau as dt / tau_mem_inv: 1e-5 where 1e-2 is meant; a step of 1e-6 puts the ratio right
    cell = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(100.0)))
    model = norse.SequentialState(torch.nn.Linear(6, 5), cell, torch.nn.Linear(5, 3), norse.LIBoxCell())
    network = nir.from_graph(norse.to_nir(model, torch.zeros(1, 6)), dt=1e-6)
    first, last = network.layers
    assert network.inputs[0].shape == (6,)
    assert first.neuron.keep == pytest.approx(0.9)
    assert first.connections[0].synapse.weight == pytest.approx(model[0].weight.detach().numpy() * 0.1)
    assert last.neuron.readout


def test_a_foreign_graph_is_quantised_and_runs_in_hwsim_to_the_bits_of_the_reference():
    rng = np.random.default_rng(5)
    conv = library.Conv2d((8, 8), rng.normal(0, 0.5, (4, 2, 3, 3)), 1, "same", 1, 1, np.full(4, 0.05))
    graph = _graph(
        ("in", library.Input({"input": np.array([2, 8, 8])})), ("conv", conv), ("lif", _lif(4, 8, 8, r=5.0)),
        ("pool", library.SumPool2d(*np.array([[2, 2], [2, 2], [0, 0]]))), ("flat", library.Flatten(None, 0, -1)),
        ("fc", library.Linear(rng.normal(0, 0.2, (3, 64)))),
        ("li", library.LI(_full(0.02, 3), _full(20, 3), _full(0, 3))),
        ("out", library.Output({"output": np.array([3])})),
    )  # fmt: skip
    real = nir.from_graph(graph, dt=DT, bits=1)
    inputs = {"in": (rng.random((2, 30, 2, 8, 8)) < 0.2).astype(np.int16)}
    network = quantize_network(real, per_channel=True)
    found = engine.run(network, inputs).recording
    assert first_difference(network, reference.run(network, inputs), found) is None
    expected = reference.run(real, inputs)
    assert expected.spikes["lif"].any()
    agreed = (expected.spikes["lif"] == found.spikes["lif"]).mean()
    assert agreed > 0.98
    readout = network.real_potentials("li", found.potentials["li"])
    assert np.abs(readout - expected.potentials["li"]).max() < 0.15 * np.abs(expected.potentials["li"]).max()


def test_graphs_inside_a_graph_are_opened_and_branches_add_up():
    inner = library.NIRGraph(
        {"input": library.Input({"input": np.array([2])}), "lif": _lif(2), "output": library.Output({"output": [2]})},
        [("input", "lif"), ("lif", "output")], type_check=False,
    )  # fmt: skip
    one, two = np.eye(2), np.full((2, 2), 2.0)
    graph = library.NIRGraph(
        {
            "in": library.Input({"input": np.array([2])}), "a": library.Linear(one),
            "b": library.Affine(two, np.ones(2)),
            "block": inner, "scale": library.Scale(np.array([1.0, 3.0])), "out": library.Output({"output": [2]}),
        },
        [("in", "a"), ("in", "b"), ("a", "block"), ("b", "block"), ("block", "scale"), ("scale", "out")],
        type_check=False,
    )  # fmt: skip
    network = nir.from_graph(graph, dt=DT)
    spiking, read = network.layers
    assert spiking.name == "block.lif"
    total = sum(c.synapse.weight for c in spiking.connections) * 5
    assert total == pytest.approx(one + two)
    assert spiking.neuron.bias == pytest.approx(0.2)
    assert read.neuron.readout
    assert read.connections[0].source == "block.lif"


@pytest.mark.parametrize(
    ("members", "more", "where", "what"),
    [
        ([("x", library.Delay(np.ones(2)))], [], ":x", "Delay"),
        ([("x", library.Conv1d(4, np.ones((1, 1, 3)), 1, 0, 1, 1, np.zeros(1)))], [], ":x", "Conv1d"),
        ([("w", library.Linear(np.eye(2))), ("x", _lif(2))], [("x", "w")], "graph", "cycle"),
        ([("x", _lif(2, v_reset=_full(0.2, 2)))], [], ":x", "v_reset"),
        ([("x", _lif(2, tau=1e-5))], [], ":x", "shorter"),
        ([("x", _lif(3))], [], ":x", "shape (3,)"),
        ([("a", library.Linear(np.ones((2, 3))))], [], ":a", "does not take 2"),
        ([("a", library.Linear(np.eye(2))), ("b", library.Linear(np.eye(2)))], [], ":b", "without neurons"),
        ([("a", library.Linear(np.full((2, 2), np.nan)))], [], ":a", "not finite"),
        ([("x", _lif(2))], [("x", "nowhere")], "graph", "'nowhere'"),
        ([("a", library.Conv2d(None, np.ones((1, 1, 1, 1)), 1, 0, 1, 1, np.ones(1)))], [], ":a", "(C, H, W)"),
    ],
)
def test_a_graph_that_cannot_run_is_refused_with_its_node(members, more, where, what):
    ends = [("in", library.Input({"input": np.array([2])})), ("out", library.Output({"output": np.array([2])}))]
    graph = _graph(ends[0], *members, ends[1], more=more)
    with pytest.raises(NetworkError, match="fix:") as error:
        nir.from_graph(graph, dt=1e-4)
    assert error.value.where.endswith(where)
    assert what in error.value.what


def test_the_nodes_of_a_cycle_are_named():
    graph = _graph(
        ("in", library.Input({"input": np.array([2])})), ("lif", _lif(2)), ("rec", library.Linear(np.eye(2))),
        more=[("rec", "lif")],
    )  # fmt: skip
    with pytest.raises(NetworkError, match=r"lif -> rec -> lif|rec -> lif -> rec"):
        nir.from_graph(graph)


def test_constants_that_differ_within_a_channel_are_refused_and_those_per_channel_kept():
    vth = np.ones((2, 2, 2), np.float32)
    vth[1] = 3
    ends = (("in", library.Input({"input": np.array([2, 2, 2])})), ("out", library.Output({"output": [2, 2, 2]})))
    node = _lif(2, 2, 2)
    node.v_threshold = vth
    assert nir.from_graph(_graph(ends[0], ("x", node), ends[1])).layers[0].neuron.vth.tolist() == [1, 3]
    node.v_threshold = vth.copy()
    node.v_threshold[0, 0, 0] = 2
    with pytest.raises(NetworkError, match="within a channel"):
        nir.from_graph(_graph(ends[0], ("x", node), ends[1]))


def test_an_unknown_op_is_named_where_nir_itself_raises_an_empty_error(tmp_path):
    graph = _graph(("in", library.Input({"input": np.array([2])})), ("x", _lif(2)), ("out", library.Output([2])))
    library.write(tmp_path / "a.nir", graph)
    content = (tmp_path / "a.nir").read_bytes()
    (tmp_path / "a.nir").write_bytes(content.replace(b"LIF", b"LIX"))
    with pytest.raises(AssertionError, match=r"^$"):
        library.read(tmp_path / "a.nir")
    with pytest.raises(NetworkError, match="'LIX'"):
        nir.read(tmp_path / "a.nir")


@given(data=st.data(), ours=st.booleans())
@settings(max_examples=20)
def test_a_damaged_file_gives_a_network_or_a_clear_error(data, ours, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "damaged.nir"
    conv = Conv2d(np.ones((2, 1, 3, 3), np.int8))
    layer = Layer("a", (2, 2, 2), (Connection("in", conv),), LIF(*np.array([[3000], [9]], np.int32)))
    graph = nir.to_graph(SpikingNetwork((InputPort("in", (1, 4, 4), 1),), (layer,)))
    if not ours:
        graph.metadata = {}
    library.write(path, graph)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    # any other exception fails the test
    with mock.patch.object(hdf5, "TRIAL_S", 4.0), contextlib.suppress(NetworkError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert isinstance(nir.read(path), SpikingNetwork)


def test_values_of_a_foreign_graph_are_real_unless_told_otherwise():
    graph = _graph(("in", library.Input({"input": np.array([2])})), ("x", _lif(2)), ("out", library.Output([2])))
    assert nir.from_graph(graph).inputs[0].bits == REAL
    assert replace(nir.from_graph(graph, bits=1)).inputs[0].bits == 1
