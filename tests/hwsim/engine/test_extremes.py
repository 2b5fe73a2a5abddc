"""The engine at the edges of what a network may be: sizes, strides, values and lengths that are seldom drawn."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from hwsim.engine import Counts, Engine
from hwsim.engine.counter import Counter
from hwsim.engine.gpu import GpuExecutor
from hwsim.mapping import Core, Mapping, Resources
from snn_export import reference
from snn_export.compare import first_difference
from snn_export.network import (
    LIF,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
)

_RNG = np.random.default_rng(11)
_MOST = 2**23 - 1


def _lif(vth=30, keep=3000, reset=Reset.SOFT, bias=0, **others):
    keep, vth, bias = (np.atleast_1d(np.array(x, np.int32)) for x in (keep, vth, bias))
    return LIF(keep, vth, reset, bias=bias, **others)


def _one(shape, *synapses, bits=1, neuron=None):
    """A layer with all these connections from one port."""
    connections = tuple(Connection("in", x) for x in synapses)
    layer = Layer("out", synapses[0].output_shape(shape), connections, neuron or _lif())
    return SpikingNetwork((InputPort("in", shape, bits),), (layer,))


def _weights(*shape, most=30):
    return _RNG.integers(-most, most + 1, shape, dtype=np.int8)


def _conv(out, per_group, kernel, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, most=30):
    return Conv2d(_weights(out, per_group, *kernel, most=most), stride, padding, dilation, groups)


def _list(targets, sources, count):
    rows, columns = np.divmod(np.sort(_RNG.choice(targets * sources, count, replace=False)), sources)
    return Sparse(_weights(count), rows.astype(np.int32), columns.astype(np.int32), (targets, sources))


def _cut(network):
    """Cores that cut every axis of every layer a third of the way."""
    cores = []
    for layer in network.layers:
        cuts = [sorted({0, n // 3, n}) for n in (*layer.shape, 1, 1)[:3]]
        spans = [[(a, b) for a, b in pairwise(x)] for x in cuts]
        for block in product(*spans):
            i = len(cores)
            cores.append(Core(i, layer.name, *block, i % 2, i % 3, i // 3 % 2, i, Resources(1, 1, 1, 1)))
    return Mapping("any", 3, 2, len(cores), 2, Resources(10**6, None, None, None), True, tuple(cores))


def _inputs(network, gops, steps, density=0.4):
    """The ends of the port's range, and zeros."""
    rng, (port,) = np.random.default_rng(gops + steps), network.inputs
    values = rng.choice([x for x in port.interval if x], (gops, steps, *port.shape))
    return {"in": (values * (rng.random(values.shape) < density)).astype(np.int16)}


def _same(network, inputs):
    """Compare with the reference: mapped or not, with 1 to 3 threads, in small and large chunks."""
    expected, mapping, before = reference.run(network, inputs), _cut(network), torch.get_num_threads()
    other = GpuExecutor(network, Counter(network, mapping), True, torch.device("cpu")).run(inputs, "all")
    try:
        for threads, chunk, cores in ((1, 2**20, mapping), (3, 1, mapping), (2, 100, None)):
            torch.set_num_threads(threads)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("hwsim.engine.cpu._CHUNK_VALUES", chunk)
                patch.setattr("hwsim.engine.population._SHARE_VALUES", 1)
                got = Engine(network, cores).run(inputs)
            assert first_difference(network, expected, got.recording) is None
            assert got.recording.saturations == expected.saturations
            assert got.wraps == other.wraps
            for field in fields(Counts) if cores else ():
                assert np.array_equal(*(getattr(x.counts, field.name) for x in (got, other))), field.name
    finally:
        torch.set_num_threads(before)
    return expected


_SHAPES = {
    "a map of 1x1": ((3, 1, 1), [_conv(5, 3, (1, 1))]),
    "one value": ((1, 1, 1), [_conv(1, 1, (1, 1))]),
    "one value with padding larger than the map": ((1, 1, 1), [_conv(2, 1, (3, 3), padding=(4, 5))]),
    "a single row": ((2, 1, 70), [_conv(3, 2, (1, 5), padding=(0, 2))]),
    "a single column": ((2, 70, 1), [_conv(3, 2, (5, 1), padding=(2, 0))]),
    "stride larger than the kernel": ((2, 11, 13), [_conv(4, 2, (2, 3), stride=(5, 7), padding=(1, 2))]),
    "stride larger than the map": ((2, 3, 3), [_conv(4, 2, (1, 1), stride=(9, 9))]),
    "a kernel larger than the map": ((2, 3, 2), [_conv(4, 2, (9, 8), padding=(4, 4))]),
    "dilation with stride": ((3, 12, 14), [_conv(5, 3, (3, 3), (2, 3), (3, 4), (2, 3))]),
    "dilation that is a multiple of the stride": ((3, 9, 15), [_conv(5, 3, (2, 3), (2, 2), (2, 4), (2, 4))]),
    "a group for each of 17 channels": ((17, 5, 6), [_conv(17, 1, (3, 3), padding=(1, 1), groups=17)]),
    "groups of many outputs with stride": ((4, 7, 9), [_conv(68, 2, (3, 3), (1, 2), (1, 1), groups=2)]),
    "70 channels": ((70, 3, 5), [_conv(70, 70, (3, 3), padding=(1, 1), most=3)]),
    "rows of exactly 64 values": ((4, 3, 16), [_conv(16, 4, (3, 3), padding=(1, 1)), _conv(16, 4, (1, 1))]),
    "pooling past the edge": ((5, 4, 5), [SumPool2d((3, 2), (2, 3), (1, 1))]),
    "the same source three times": ((2, 5, 6), [_conv(3, 2, (3, 3), padding=(1, 1)), *[_conv(3, 2, (1, 1))] * 2]),
    "kernels of different reach": (
        (2, 6, 7),
        [_conv(3, 2, (5, 7), (2, 2), (2, 3)), _conv(3, 2, (1, 1), (2, 2)), _conv(3, 2, (3, 1), (2, 2), (1, 0))],
    ),
    "a flat layer of one": ((3, 4, 5), [Dense(_weights(1, 60)), _list(1, 60, 7)]),
    "a flat layer of 5000": ((9,), [Dense(_weights(5000, 9)), _list(5000, 9, 400)]),
    "a flat source of 5000": ((5000,), [_list(3, 5000, 700)]),
    "weights that are all zero": ((2, 4, 4), [replace(_conv(3, 2, (3, 3)), weight=np.zeros((3, 2, 3, 3), np.int8))]),
}


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("name", _SHAPES)
def test_shapes_at_the_edge_are_exact_for_spikes_and_for_graded_values(name, spikes):
    shape, synapses = _SHAPES[name]
    network = _one(shape, *synapses, bits=1 if spikes else 4)
    if spikes:
        network = _behind_a_layer(network)
    found = _same(network, _inputs(network, 2, 5, 0.7))
    assert found.potentials["out"].any() == ("zero" not in name)


@pytest.mark.parametrize("spikes", [True, False])
@pytest.mark.parametrize("name", _SHAPES)
def test_neurons_whose_events_add_up_to_0_are_counted_as_active_at_the_edge(name, spikes):
    shape, synapses = _SHAPES[name]
    network = _one(shape, *map(_signs, synapses), bits=1 if spikes else 2, neuron=_lif(0, 0, Reset.ZERO))
    if spikes:
        network = _behind_a_layer(network)
    for density in (0.05, 0.5):
        _same(network, _inputs(network, 2, 4, density))


def _signs(synapse):
    """The same synapses with weights of -1, 0 and 1."""
    if isinstance(synapse, SumPool2d):
        return synapse
    return replace(synapse, weight=np.sign(synapse.weight * _RNG.integers(0, 2, synapse.weight.shape, np.int8)))


def _behind_a_layer(network):
    """The layer reads spikes of a layer that repeats the port."""
    (port,), (layer,) = network.inputs, network.layers
    each = np.arange(port.shape[0], dtype=np.int32)
    same = (
        Sparse(np.ones(each.size, np.int8), each, each, (each.size, each.size))
        if len(port.shape) == 1
        else Conv2d(np.ones((port.shape[0], 1, 1, 1), np.int8), groups=port.shape[0])
    )
    first = Layer("first", port.shape, (Connection("in", same),), _lif(0, 0, Reset.ZERO))
    behind = replace(layer, connections=tuple(replace(x, source="first") for x in layer.connections))
    return SpikingNetwork(network.inputs, (first, behind))


_LONG = [_conv(3, 2, (3, 3), padding=(1, 1))]


@pytest.mark.parametrize(("gops", "steps"), [(1, 1), (33, 1), (1, 300), (33, 7)])
@pytest.mark.parametrize(("ukeep", "interval"), [(0, 0), (0, 4), (4096, 0), (2000, 4)])
def test_any_number_of_gops_and_steps_with_resets_and_currents_is_exact(gops, steps, ukeep, interval):
    network = _one((2, 3, 4), *_LONG, neuron=_lif(ukeep=ukeep, reset_interval=interval))
    _same(network, _inputs(network, gops, steps))


@pytest.mark.parametrize("reset", Reset)
@pytest.mark.parametrize("vth", [0, 2**17 - 1])
@pytest.mark.parametrize(
    ("keep", "bias", "ukeep"), [(4096, _MOST, 0), (4096, -_MOST, 0), (0, 0, 0), (4095, 1, 4096), (4096, -_MOST, 4000)]
)
def test_sums_next_to_the_limit_with_thresholds_at_theirs_are_exact_and_clips_are_counted(
    reset, vth, keep, bias, ukeep
):
    # 3 x -32768 - 1 x 32767 = -131071, one off 2^17, from values at the ends of 16 bits
    dense = Dense(np.array([[3, -1], [-3, 1], [1, 2], [0, 0]], np.int8))
    neuron = _lif(vth, keep, reset, bias, ukeep=ukeep)
    network = _one((2,), dense, bits=16, neuron=neuron)
    inputs = {"in": np.array([[-32768, 32767]] * 3 + [[32767, -32768]] * 4 + [[0, 0], [1, -1]], np.int16)[None]}
    found = _same(network, inputs)
    assert reference.accumulate(network.layers[0], {"in": inputs["in"][0, 0].astype(int)})[0] == -(2**17 - 1)
    if keep == 4096 and not ukeep and abs(bias) == _MOST:
        assert found.saturations["out"] > 8


def test_potentials_clipped_in_every_step_are_all_counted():
    network = _one((2, 3, 4), *_LONG, neuron=_lif(2**17 - 1, 4096, Reset.NONE, _MOST, readout=True))
    inputs = {"in": np.ones((2, 70, 2, 3, 4), np.int16)}
    positive = (reference.accumulate(network.layers[0], {"in": inputs["in"][0, 0].astype(int)}) > 0).sum()
    # where the sum is not positive, the first step alone may stay below
    assert _same(network, inputs).saturations["out"] >= 2 * 70 * positive > 0


@pytest.mark.parametrize("peak", [2**15 - 1, 2**15, 2**15 + 1])
def test_sums_where_16_bits_end_are_exact(peak):
    weights = np.full((2, 260), 127, np.int8)
    weights[0, 258:] = peak - 258 * 127, 0
    weights[1] = -weights[0]
    network = _one((260,), Dense(weights), neuron=_lif(2**15 - 2, 0, Reset.NONE))
    assert _same(network, _inputs(network, 1, 3, 1.0)).potentials["out"][0, 0].tolist() == [peak << 6, -peak << 6]
    _same(network, _inputs(network, 1, 3, 0.99))


def test_one_engine_takes_runs_of_any_length_one_after_another():
    # sums of an earlier run are used again, whatever its length was, by any of three threads
    network, before = _one((2, 3, 4), *_LONG), torch.get_num_threads()
    engine = Engine(network, _cut(network))
    torch.set_num_threads(3)
    try:
        for steps in (9, 1, 30, 4, 31):
            inputs = _inputs(network, 5, steps)
            assert first_difference(network, reference.run(network, inputs), engine.run(inputs).recording) is None
    finally:
        torch.set_num_threads(before)
