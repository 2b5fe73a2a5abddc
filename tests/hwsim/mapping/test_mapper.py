"""Mappings keep every neuron once and every limit, and are always the same."""

from __future__ import annotations

import json
import re
from itertools import pairwise, product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim.chip import load
from hwsim.engine import Engine
from hwsim.mapping import DoesNotFit, MappingError, from_json, map_network, to_json, utilization
from hwsim.mapping.geometry import fan_in, reaches
from hwsim.mapping.tiling import Demand, Tiling, tile
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

_LIF = LIF(np.array([0], np.int32), np.array([1], np.int32), Reset.ZERO)


def _held(network, mapping):
    """How many cores hold each neuron, by layer."""
    count = {layer.name: np.zeros((*layer.shape, 1, 1)[:3], int) for layer in network.layers}
    for core in mapping.cores:
        count[core.layer][tuple(slice(*span) for span in core.block)] += 1
    return count


def _reads(network, core):
    """Distinct source neurons of a core, tap by tap, whatever the values of the weights."""
    found = set()
    layer = network.layer(core.layer)
    for connection in layer.connections:
        source, synapse = network.shapes[connection.source], connection.synapse
        if isinstance(synapse, Dense | Sparse):
            found |= {(connection.source, place) for place in np.ndindex(*source)}
            continue
        if isinstance(synapse, SumPool2d):
            ones = np.ones((source[0], 1, *synapse.kernel), np.int8)
            synapse = Conv2d(ones, synapse.stride, synapse.padding, groups=source[0])
        out_channels, per_group, *kernel = synapse.weight.shape
        for o, r, q in product(*(range(*span) for span in core.block)):
            first = o // (out_channels // synapse.groups) * per_group
            for i, ky, kx in np.ndindex(per_group, *kernel):
                y, x = (
                    n * synapse.stride[a] - synapse.padding[a] + k * synapse.dilation[a]
                    for a, (n, k) in enumerate(((r, ky), (q, kx)))
                )
                if 0 <= y < source[1] and 0 <= x < source[2]:
                    found.add((connection.source, (first + i, y, x)))
    return found


def _mapping_or_result(network, chip):
    try:
        return map_network(network, chip)
    except DoesNotFit as error:
        return error


@given(data=st.data())
@settings(max_examples=80)
def test_every_neuron_is_on_one_core_and_all_limits_hold(cases, small_chip, data):
    network, _ = data.draw(cases())
    limits = {
        "neurons": data.draw(st.integers(1, 60)),
        "inputs": data.draw(st.sampled_from([None, 40, 150])),
        "outputs": data.draw(st.sampled_from([None, 8, 60])),
        "synapse_memory_bytes": data.draw(st.sampled_from([None, 60, 400])),
        "shared_convolution": data.draw(st.booleans()),
    }
    chip = small_chip(**limits)
    found = _mapping_or_result(network, chip)
    if isinstance(found, DoesNotFit):
        assert found.demand > found.bound == limits[found.resource]
        assert found.gap == found.demand - found.bound
        return
    mapping = found
    assert all((count == 1).all() for count in _held(network, mapping).values())
    places = [(core.chip, core.x, core.y, core.slot) for core in mapping.cores]
    assert len(set(places)) == len(places)
    assert all(c < mapping.chips and x < 3 and y < 2 and slot < 2 for c, x, y, slot in places)
    reads = [_reads(network, core) for core in mapping.cores]
    for core, read in zip(mapping.cores, reads, strict=True):
        held = {
            (core.layer, place[: len(network.shapes[core.layer])])
            for place in product(*(range(*span) for span in core.block))
        }
        assert core.used.neurons == len(held) <= limits["neurons"]
        assert core.used.inputs == len(read)
        assert core.used.outputs == sum(len(held & other) for other in reads)
        for name in ("inputs", "outputs", "synapse_memory_bytes"):
            assert limits[name] is None or getattr(core.used, name) <= limits[name]
    assert to_json(map_network(network, chip)) == to_json(mapping)
    assert from_json(json.loads(json.dumps(to_json(mapping)))) == mapping


def _best_by_trying(demand):
    """The rule of `hwsim.mapping.tiling` with one cut after the other and whole numbers; None where nothing fits."""
    chip, found = demand.chip.core, {}
    for counts in product(*(range(1, size + 1) for size in demand.shape)):
        spans = [
            tuple(pairwise(i * n // parts for i in range(parts + 1)))
            for n, parts in zip(demand.shape, counts, strict=True)
        ]
        axes = [demand.along(a, x) for a, x in enumerate(spans)]
        neurons = prod(max(b - a for a, b in x) for x in spans)
        inputs, outputs = (
            sum(prod(map(int, column)) for column in zip(*(getattr(x, name).max(0) for x in axes), strict=True))
            for name in ("inputs", "outputs")
        )
        weights = neurons * inputs
        if chip.shared_convolution:
            conv = isinstance(demand.layer.connections[0].synapse, Conv2d | SumPool2d)
            each = sum(fan_in(connection.synapse) for connection in demand.layer.connections)
            weights = each * (max(b - a for a, b in spans[0]) if conv else neurons)
        used = (neurons, -(-weights * min(8, chip.weight_bits) // 8), inputs, outputs)
        limits = (chip.neurons, chip.synapse_memory_bytes, chip.inputs, chip.outputs)
        if all(limit is None or value <= limit for value, limit in zip(used, limits, strict=True)):
            read = sum(prod(map(int, column)) for column in zip(*(x.inputs.sum(0) for x in axes), strict=True))
            found[(prod(counts), read, *counts)] = Tiling(*spans)
    return found[min(found)] if found else None


@given(data=st.data())
@settings(max_examples=40)
def test_the_tiling_of_any_layer_is_the_best_of_all_cuts(cases, small_chip, data):
    network, _ = data.draw(cases())
    chip = small_chip(
        neurons=data.draw(st.integers(1, 60)), inputs=data.draw(st.sampled_from([None, 40, 150])), outputs=None,
        synapse_memory_bytes=data.draw(st.sampled_from([None, 60, 400])),
        shared_convolution=data.draw(st.booleans()),
    )  # fmt: skip
    for layer in network.layers:
        demand = Demand(layer, reaches(network, layer), (), chip)
        try:
            found = tile(demand)
        except DoesNotFit:
            found = None
        assert found == _best_by_trying(demand)


def _conv_layer(in_channels, out_channels, size, kernel=3, groups=1, value=1):
    weight = np.full((out_channels, in_channels // groups, kernel, kernel), value, np.int8)
    synapse = Conv2d(weight, (1, 1), (0, 0), (1, 1), groups)
    shape = synapse.output_shape((in_channels, size, size))
    layer = Layer("conv", shape, (Connection("in", synapse),), _LIF)
    return SpikingNetwork((InputPort("in", (in_channels, size, size), 1),), (layer,))


def test_shared_kernels_are_stored_once_and_a_crossbar_unrolls_them(small_chip):
    network = _conv_layer(2, 4, 6)  # 4 x 4 places, kernel of 18 weights
    (shared,) = map_network(network, small_chip(neurons=64)).cores
    (unrolled,) = map_network(network, small_chip(neurons=64, shared_convolution=False)).cores
    assert shared.used.synapse_memory_bytes == 4 * 18
    assert unrolled.used.synapse_memory_bytes == 64 * 72  # all neurons x all distinct inputs


def test_tiles_are_the_fewest_then_read_least_twice(small_chip):
    # 1 x 8 x 8 neurons, 32 per core: two halves of 8 x 4 read 2 x 10 x 6, quarters would be more cores
    mapping = map_network(_conv_layer(1, 1, 10), small_chip(neurons=32))
    assert len(mapping.cores) == 2
    assert sum(core.used.inputs for core in mapping.cores) == 120


def test_more_cores_than_a_chip_has_take_more_chips(small_chip):
    mapping = map_network(_conv_layer(1, 1, 10), small_chip(neurons=4))  # 16 cores on chips of 12
    assert (len(mapping.cores), mapping.chips) == (16, 2)
    assert utilization(mapping)["cores"] == (16, 24)
    assert utilization(mapping)["neurons"] == (4, 4)
    assert utilization(mapping)["inputs"] == (16, 4096)


def test_a_fan_in_past_the_crossbar_gives_the_gap_and_levers_that_fit():
    chip = load("tianjic")
    with pytest.raises(DoesNotFit) as error:
        map_network(_conv_layer(64, 64, 5), chip)
    found = error.value
    assert (found.layer, found.resource, found.demand, found.bound, found.gap) == ("conv", "inputs", 576, 256, 320)
    assert found.exit_code == 3
    assert found.where == "$.layers[conv]"
    channels, groups, kernel, inputs = (int(re.search(r"(\d+)", lever).group(1)) for lever in found.levers)
    changed = (
        (_conv_layer(channels, 64, 5), chip),
        (_conv_layer(64, 64, 5, groups=groups), chip),
        (_conv_layer(64, 64, 5, kernel=kernel), chip),
    )
    for network, target in changed:
        assert len(map_network(network, target).cores) >= 1
    # one step less than the lever says is not enough
    for network in (_conv_layer(channels + 1, 64, 5), _conv_layer(64, 64, 5, groups=groups // 2)):
        with pytest.raises(DoesNotFit):
            map_network(network, chip)
    core = chip.core.model_copy(update={"inputs": inputs, "synapse_memory_bytes": None})
    assert map_network(_conv_layer(64, 64, 5), chip.model_copy(update={"core": core})).cores


def test_a_dense_layer_names_how_many_features_fit(small_chip):
    def network(features):
        layer = Layer("out", (2,), (Connection("in", Dense(np.ones((2, features), np.int8))),), _LIF)
        return SpikingNetwork((InputPort("in", (features,), 1),), (layer,))

    chip = small_chip(synapse_memory_bytes=100)
    with pytest.raises(DoesNotFit) as error:
        map_network(network(130), chip)
    assert (error.value.resource, error.value.gap, error.value.unit) == ("synapse_memory_bytes", 30, "bytes")
    features = int(re.search(r"(\d+)", error.value.levers[0]).group(1))
    assert len(map_network(network(features), chip).cores) == 2


def test_a_sparse_layer_takes_the_memory_of_its_own_synapses_only(small_chip):
    def network(synapse):
        return SpikingNetwork((InputPort("in", (130,), 1),), (Layer("out", (2,), (Connection("in", synapse),), _LIF),))

    chip = small_chip(synapse_memory_bytes=100)
    places = np.arange(100, dtype=np.int32)
    synapse = Sparse(np.ones(200, np.int8), np.repeat(np.array([0, 1], np.int32), 100), np.tile(places, 2), (2, 130))
    (first, second) = map_network(network(synapse), chip).cores
    assert first.used.synapse_memory_bytes == second.used.synapse_memory_bytes == 100


def test_a_pooling_window_that_is_too_large_names_the_one_that_fits(small_chip):
    def network(side):
        pool = SumPool2d((side, side), (1, 1))
        layer = Layer("out", (1, 21 - side, 21 - side), (Connection("in", pool),), _LIF)
        return SpikingNetwork((InputPort("in", (1, 20, 20), 1),), (layer,))

    chip = small_chip(inputs=100)
    with pytest.raises(DoesNotFit) as error:
        map_network(network(11), chip)
    assert error.value.levers[0] == "use a window of 10x10 (now 11x11)"
    assert map_network(network(10), chip).cores


def test_a_float_network_is_not_for_a_chip(small_chip):
    real = np.ones(1)
    synapse = Dense(np.ones((1, 1), np.float32))
    network = SpikingNetwork(
        (InputPort("in", (1,), 1),),
        (Layer("out", (1,), (Connection("in", synapse),), LIF(real, real, bias=real)),),
        Arithmetic.FLOAT,
    )
    with pytest.raises(NetworkError, match="a chip computes with integers") as error:
        map_network(network, small_chip())
    assert error.value.where == "$.arithmetic"
    with pytest.raises(NetworkError, match="the simulator computes with integers"):
        Engine(network)


def test_weights_wider_than_the_chip_stores_are_refused(small_chip):
    chip = small_chip(weight_bits=4)
    assert map_network(_conv_layer(1, 1, 4, value=-8), chip).cores
    with pytest.raises(DoesNotFit) as error:
        map_network(_conv_layer(1, 1, 4, value=8), chip)
    assert (error.value.resource, error.value.demand, error.value.bound) == ("weight_bits", 5, 4)


def test_a_mapping_file_of_the_schema_before_is_read(small_chip):
    mapping = map_network(_conv_layer(1, 1, 4), small_chip())
    data = to_json(mapping) | {"schema": 1}
    data["cores"] = [core | {"dense": False} for core in data["cores"]]
    assert from_json(data) == mapping


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": 99}, "$.schema"),
        ({"colour": 1}, "$.colour"),
        ({"cores": [{"id": 0}]}, "$.cores[0].layer"),
        ({"chips": "many"}, "$.chips"),
    ],
)
def test_a_mapping_file_that_is_wrong_is_refused_with_its_place(small_chip, change, where):
    data = to_json(map_network(_conv_layer(1, 1, 4), small_chip()))
    with pytest.raises(MappingError) as error:
        from_json(data | change)
    assert error.value.where == where
