"""The engine equals the integer reference bit for bit."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.engine import Counts, Engine, run
from hwsim.engine.counter import Counter
from hwsim.engine.crossover import Way, Work
from hwsim.engine.gpu import GpuExecutor
from hwsim.engine.table import tabulates
from snn_export import reference
from snn_export.compare import first_difference
from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Reset,
    SpikingNetwork,
    SumPool2d,
)


@given(data=st.data())
@settings(max_examples=200)
def test_engine_equals_the_reference_bit_for_bit(cases, data):
    network, inputs = data.draw(cases())
    expected, got = reference.run(network, inputs), run(network, inputs).recording
    assert first_difference(network, expected, got) is None
    assert expected.saturations == got.saturations


@given(data=st.data())
@settings(max_examples=60)
def test_the_way_for_gpus_gives_the_same_bits_and_counts(cases, mappings, data):
    network, inputs = data.draw(cases())
    mapping = data.draw(mappings(network))
    executor = GpuExecutor(network, Counter(network, mapping), mapping.counts_active, torch.device("cpu"))
    got = executor.run(inputs, "all")
    expected = run(network, inputs, mapping)
    assert first_difference(network, reference.run(network, inputs), got.recording) is None
    assert (got.recording.saturations, got.wraps) == (expected.recording.saturations, expected.wraps)
    for field in fields(Counts):
        left, right = (getattr(x.counts, field.name) for x in (got, expected))
        assert left is right is None or np.array_equal(left, right), field.name


@given(data=st.data(), seed=st.integers(0, 2**32 - 1), threads=st.integers(1, 2))
@settings(max_examples=100)
def test_a_neuron_is_active_where_an_event_reaches_it_though_all_add_up_to_0(cases, mappings, data, seed, threads):
    (network, inputs), rng, before = data.draw(cases(size=(2, 4))), np.random.default_rng(seed), torch.get_num_threads()
    network = replace(network, layers=tuple(_with_signs(layer, rng) for layer in network.layers))
    inputs = {name: np.sign(x) for name, x in inputs.items()}
    mapping = replace(data.draw(mappings(network)), counts_active=True)
    expected = GpuExecutor(network, Counter(network, mapping), True, torch.device("cpu")).run(inputs, "all").counts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwsim.engine.population._SHARE_VALUES", 1)
        torch.set_num_threads(threads)
        found = run(network, inputs, mapping).counts
    torch.set_num_threads(before)
    assert np.array_equal(found.active_updates, expected.active_updates)


def _with_signs(layer, rng):
    """Weights of -1, 0 and 1, no bias, and a potential that is gone after every step."""
    connections = tuple(
        c if isinstance(c.synapse, SumPool2d)
        else replace(c, synapse=replace(c.synapse, weight=rng.integers(-1, 2, c.synapse.weight.shape, np.int8)))
        for c in layer.connections
    )  # fmt: skip
    neuron = replace(layer.neuron, keep=np.zeros(1, np.int32), vth=np.zeros(1, np.int32), bias=np.zeros(1, np.int32))
    return replace(layer, connections=connections, neuron=neuron)


def _forced(way):
    """Do every connection this way where it can be done, else event by event."""
    return lambda work: way if way in work.costs() else Way.EVENTS


@given(data=st.data(), way=st.sampled_from(Way))
@settings(max_examples=60)
def test_every_way_gives_the_same_bits(cases, data, way):
    network, inputs = data.draw(cases())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "cheapest", _forced(way))
        got = run(network, inputs)
    assert first_difference(network, reference.run(network, inputs), got.recording) is None


@st.composite
def _tabulated(draw):
    """Layers that take spikes of a port and of each other through convolutions that can be tables, and their input."""
    seed, high = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([3, 20, 128]))
    rng, channels, shapes, layers = np.random.default_rng(seed), draw(st.sampled_from([8, 16, 24])), {}, []
    shapes["in"] = channels, draw(st.integers(1, 9)), draw(st.integers(1, 9))
    for i in range(2):
        out, rows = draw(st.sampled_from([16, 32])), draw(st.integers(1, 4))
        stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        source = draw(st.sampled_from(sorted(shapes)))
        before, height, width = shapes[source]
        most = dilation * (rows - 1)
        low = max(0, -(-(most + 1 - height) // 2))  # so that a window fits
        padding = draw(st.integers(low, max(low, most))), draw(st.integers(1 if width < 3 else 0, 2))
        weight = rng.integers(-high, high, (out, before, rows, 3), dtype=np.int8)
        weight[rng.random(weight.shape) < draw(st.sampled_from([0, 0.5]))] = 0
        synapse = Conv2d(weight, (stride, 1), padding, (dilation, 1))
        neuron = LIF(rng.integers(0, 4097, out).astype(np.int32), rng.integers(0, 60, out).astype(np.int32), Reset.SOFT)
        name, connections = f"layer{i}", (Connection(source, synapse),) * draw(st.integers(1, 2))
        shapes[name] = synapse.output_shape(shapes[source])
        layers.append(Layer(name, shapes[name], connections, neuron))
    network = SpikingNetwork((InputPort("in", shapes["in"], 1),), tuple(layers))
    density = draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    return network, {"in": (rng.random((2, 3, *shapes["in"])) < density).astype(np.int16)}


@given(data=st.data(), case=_tabulated(), way=st.sampled_from(Way), threads=st.integers(1, 2))
@settings(max_examples=100)
def test_tables_of_combinations_give_the_bits_of_the_reference_and_the_counts_of_events(
    mappings, data, case, way, threads
):
    (network, inputs), before = case, torch.get_num_threads()
    mapping = data.draw(mappings(network))
    executor = GpuExecutor(network, Counter(network, mapping), mapping.counts_active, torch.device("cpu"))
    expected = executor.run(inputs, "all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Work, "cheapest", _forced(way))
        patch.setattr("hwsim.engine.population._SHARE_VALUES", 1)
        torch.set_num_threads(threads)
        got = run(network, inputs, mapping)
    torch.set_num_threads(before)
    assert first_difference(network, reference.run(network, inputs), got.recording) is None
    for field in fields(Counts):
        left, right = (getattr(x.counts, field.name) for x in (got, expected))
        assert left is right is None or np.array_equal(left, right), field.name


def test_only_a_usual_convolution_of_few_weights_becomes_a_table():
    def conv(out=16, channels=16, columns=3, stride=1, most=20, **others):
        return Conv2d(np.full((out, channels, 3, columns), most, np.int8), (1, stride), (1, 1), **others)

    assert tabulates(conv())
    assert tabulates(conv(channels=80, most=127))
    assert not tabulates(conv(channels=88, most=127))  # past 16 bits
    assert not any(map(tabulates, (conv(out=24), conv(columns=5), conv(stride=2), conv(channels=12), conv(128, 128))))
    assert not tabulates(Dense(np.ones((16, 16), np.int8)))
    assert not tabulates(Conv2d(np.ones((16, 8, 3, 3), np.int8), groups=2))


@given(data=st.data(), threads=st.integers(1, 3), values=st.sampled_from([1, 2**20]))
@settings(max_examples=60)
def test_threads_and_chunks_of_steps_change_no_bit_and_no_count(cases, mappings, data, threads, values):
    network, inputs = data.draw(cases())
    mapping = data.draw(mappings(network))
    expected, before = run(network, inputs, mapping), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwsim.engine.cpu._CHUNK_VALUES", values)
        patch.setattr("hwsim.engine.population._SHARE_VALUES", 1)
        torch.set_num_threads(threads)
        got = run(network, inputs, mapping)
    torch.set_num_threads(before)
    assert first_difference(network, reference.run(network, inputs), got.recording) is None
    assert (got.recording.saturations, got.wraps) == (expected.recording.saturations, expected.wraps)
    for name in ("synops", "spikes", "packets_received", "input_events", "active_updates"):
        left, right = (getattr(x.counts, name) for x in (got, expected))
        assert left is right is None or np.array_equal(left, right), name


def test_a_wide_row_of_many_channels_and_strides_is_exact():
    # rows longer than what one scan looks at, runs longer than a vector, sums of 16 and of 32 bits
    rng = np.random.default_rng(1)
    ports = (InputPort("in", (5, 9, 40), 6),)
    layers, source, shape = [], "in", (5, 9, 40)
    for i, (out, stride, groups) in enumerate([(24, (1, 1), 1), (24, (2, 3), 12), (70, (1, 2), 1)]):
        high = (4, 128, 128)[i]
        weight = rng.integers(-high, high, (out, shape[0] // groups, 3, 5), dtype=np.int8)
        synapse = Conv2d(weight, stride, (1, 2), groups=groups)
        shape = synapse.output_shape(shape)
        neuron = LIF(rng.integers(0, 4097, out).astype(np.int32), np.array([50], np.int32), Reset.SOFT)
        layers.append(Layer(f"layer{i}", shape, (Connection(source, synapse),), neuron))
        source = f"layer{i}"
    network = SpikingNetwork(ports, tuple(layers))
    inputs = {"in": rng.integers(-32, 32, (2, 5, 5, 9, 40)).astype(np.int16)}
    expected = reference.run(network, inputs)
    assert first_difference(network, expected, run(network, inputs).recording) is None
    assert all(0.02 < spikes.mean() < 0.98 for spikes in expected.spikes.values())


def test_the_more_events_the_more_is_done_together():
    places = 12544
    usual = Work(0, 9.0, 3.0 * places, 2, 16 * 9 * 16 * places, 16 * places, wide=False)
    graded = replace(usual, runs=None)
    assert replace(usual, events=places // 10).cheapest() is Way.EVENTS
    assert replace(usual, events=16 * places // 2).cheapest() is Way.TABLE
    assert replace(graded, events=16 * places // 10).cheapest() is Way.EVENTS
    assert replace(graded, events=16 * places, wide=True).cheapest() is Way.DENSE


@given(data=st.data())
@settings(max_examples=40)
def test_counting_and_batching_change_no_bit(cases, mappings, data):
    network, inputs = data.draw(cases())
    engine = Engine(network, data.draw(mappings(network)))
    whole = engine.run(inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwsim.engine.executor._BATCH_VALUES", 1)
        parts = engine.run(inputs)
    assert first_difference(network, whole.recording, parts.recording) is None
    assert first_difference(network, whole.recording, run(network, inputs).recording) is None
    for name in ("synops", "packets_received", "link_load", "input_events"):
        assert np.array_equal(getattr(whole.counts, name), getattr(parts.counts, name))


@given(data=st.data())
@settings(max_examples=30)
def test_readout_only_gives_the_same_potentials_and_nothing_else(cases, data):
    network, inputs = data.draw(cases())
    everything, readouts = run(network, inputs).recording, run(network, inputs, record="readout").recording
    assert set(readouts.potentials) == {layer.name for layer in network.readouts}
    assert not readouts.spikes
    for name, potential in readouts.potentials.items():
        assert np.array_equal(potential, everything.potentials[name])


@pytest.mark.parametrize("keep", [0, 1, 2048, 3686, 4095, 4096])
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("ukeep", [0, 4096])
def test_decay_and_clip_are_exact_at_the_edges_of_the_state(keep, sign, ukeep):
    neuron = LIF(
        np.array([keep], np.int32), np.array([1], np.int32), Reset.NONE, True, ukeep, np.array([sign * (2**23 - 1)])
    )
    synapse = Dense(np.array([[sign * 127]], np.int8))
    network = SpikingNetwork((InputPort("in", (1,), 10),), (Layer("out", (1,), (Connection("in", synapse),), neuron),))
    inputs = {"in": np.array([[[511], [1], [-511], [0], [-512], [-3], [7]]], np.int16)}
    expected, got = reference.run(network, inputs), run(network, inputs).recording
    assert first_difference(network, expected, got) is None
    assert expected.saturations == got.saturations
    assert expected.saturations["out"] > 0


def _currents(network, inputs):
    """The synaptic current of every layer after every step by the reference's lines, int64 [G, T, *shape]."""
    gops, steps = next(iter(inputs.values())).shape[:2]
    found = {x.name: np.zeros((gops, steps, *x.shape), np.int64) for x in network.layers}
    spikes = reference.run(network, inputs).spikes
    for g, t in np.ndindex(gops, steps):
        values = {name: x[g, t].astype(np.int64) for name, x in {**inputs, **spikes}.items()}
        for layer in network.layers:
            fresh = layer.neuron.clears_before(t)
            before = np.zeros(layer.shape, np.int64) if fresh else found[layer.name][g, t - 1]
            a = reference.accumulate(layer, values)
            found[layer.name][g, t] = reference.step(layer, before, np.zeros(layer.shape, np.int64), a)[0]
    return found


@given(data=st.data())
@settings(max_examples=40)
def test_currents_that_leave_24_bits_are_counted_layer_by_layer(cases, data):
    network, inputs = data.draw(cases())
    wraps = {name: int(((u < -(2**23)) | (u > 2**23 - 1)).sum()) for name, u in _currents(network, inputs).items()}
    assert run(network, inputs).wraps == wraps


def test_a_current_that_adds_up_for_ever_wraps_from_the_first_step_past_24_bits():
    # 1000 x 127 x 64 a step: past 2^23 - 1 in the second step and after
    neuron = LIF(np.array([0], np.int32), np.array([9], np.int32), Reset.NONE, True, 4096)
    layer = Layer("out", (1,), (Connection("in", Dense(np.array([[127]], np.int8))),), neuron)
    network = SpikingNetwork((InputPort("in", (1,), 11),), (layer,))
    found = run(network, {"in": np.full((2, 5, 1), 1000, np.int16)})
    assert found.wraps == {"out": 2 * 4}
    assert found.recording.saturations == {"out": 2 * 4}


def test_exact_although_the_user_allows_low_precision_products():
    rng = np.random.default_rng(0)
    synapse = Dense(rng.integers(-128, 128, (5, 4), dtype=np.int8))
    neuron = LIF(np.array([4096], np.int32), np.array([9], np.int32), Reset.NONE, True)
    network = SpikingNetwork((InputPort("in", (4,), 8),), (Layer("out", (5,), (Connection("in", synapse),), neuron),))
    inputs = {"in": rng.integers(-128, 128, (1, 3, 4)).astype(np.int16)}
    torch.set_float32_matmul_precision("medium")
    try:
        got = run(network, inputs).recording
        assert torch.get_float32_matmul_precision() == "medium"  # and the user's setting is left as it was
    finally:
        torch.set_float32_matmul_precision("highest")
    assert first_difference(network, reference.run(network, inputs), got) is None


def test_many_inputs_at_once_are_not_given_to_inexact_algorithms():
    rng = np.random.default_rng(0)
    synapse = Conv2d(np.array([54, -89, -69], np.int8).reshape(1, 1, 3, 1), (1, 1), (1, 0))
    neuron = LIF(np.array([4000], np.int32), np.array([46], np.int32), Reset.SOFT)
    layer = Layer("out", (1, 8, 4), (Connection("in", synapse),), neuron)
    network = SpikingNetwork((InputPort("in", (1, 8, 4), 1),), (layer,))
    inputs = {"in": rng.integers(0, 2, (20, 3, 1, 8, 4)).astype(np.int8)}
    executor = GpuExecutor(network, None, False, torch.device("cpu"))
    got = executor.run(inputs, "all").recording
    assert first_difference(network, reference.run(network, inputs), got) is None


def test_an_input_that_does_not_fit_its_port_is_refused(line):
    with pytest.raises(NetworkError, match="no values"):
        run(line, {})


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "dilation"),
    [
        ((4, 1, 1), (2, 4, 1, 1), (1, 2), (0, 1), (1, 1)),
        ((1, 2, 1), (3, 1, 3, 3), (1, 3), (2, 1), (1, 1)),
        ((1, 3, 3), (4, 1, 3, 3), (1, 2), (1, 0), (1, 1)),
        ((1, 9, 2), (3, 1, 1, 2), (1, 3), (2, 1), (2, 1)),
        ((2, 1, 1), (2, 2, 1, 1), (1, 1), (2, 2), (1, 1)),
    ],
)
def test_sizes_of_one_and_windows_on_padding_alone_are_exact(shape, kernel, stride, padding, dilation):
    rng = np.random.default_rng(0)
    synapse = Conv2d(rng.integers(-20, 20, kernel, dtype=np.int8), stride, padding, dilation)
    neuron = LIF(np.array([3000], np.int32), np.array([30], np.int32), Reset.SOFT)
    layer = Layer("out", synapse.output_shape(shape), (Connection("in", synapse),), neuron)
    network = SpikingNetwork((InputPort("in", shape, 8),), (layer,))
    inputs = {"in": rng.integers(-128, 128, (3, 4, *shape)).astype(np.int16)}
    assert first_difference(network, reference.run(network, inputs), run(network, inputs).recording) is None
