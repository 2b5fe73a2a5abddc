"""Quantisation: integers stand for the real numbers they came from, bounds hold, and the report finds errors."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snn_export import reference
from snn_export.network import (
    ACCUMULATOR_LIMIT,
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
    Sparse,
    SpikingNetwork,
    SumPool2d,
    accumulator_interval,
    source_intervals,
    weighted,
)
from snn_export.quantize import (
    MAX,
    MSE,
    Clipping,
    FloatConvLIF,
    calibrate,
    error_report,
    float_network,
    quantize,
    quantize_network,
    to_integers,
)


def _lif(keep=1.0, vth=1.0, readout=False):
    return LIF(np.array([keep]), np.array([vth]), Reset.NONE if readout else Reset.ZERO, readout, bias=np.zeros(1))


def _dense(weight, port=None, **neuron):
    weight = np.asarray(weight, np.float64)
    layer = Layer("out", (len(weight),), (Connection("in", Dense(weight)),), _lif(**neuron))
    port = port or InputPort("in", (weight.shape[1],), 8)
    return SpikingNetwork((port,), (layer,), Arithmetic.FLOAT)


def _plain(network, layer):
    return [weighted(c.synapse, network.shapes[c.source]).weight for c in layer.connections]


@given(data=st.data(), unit=st.sampled_from([2.0**-9, 1.0, 3.0]))
@settings(max_examples=60)
def test_real_numbers_that_are_integers_times_a_unit_come_back_as_these_integers(cases, data, unit):
    network, _ = data.draw(cases(pool=False))
    layers, expected = [], []
    for layer in network.layers:
        connections = []
        for c in layer.connections:
            weight = np.clip(c.synapse.weight, -127, 127)
            weight.reshape(-1)[0] = 127
            connections.append(replace(c, synapse=replace(c.synapse, weight=weight)))
        expected.append(replace(layer, connections=tuple(connections)))
        real = [replace(c, synapse=replace(c.synapse, weight=c.synapse.weight * unit)) for c in connections]
        n = layer.neuron
        neuron = replace(n, keep=n.keep / 4096, vth=n.vth * unit, bias=n.bias * (unit / 64), ukeep=n.ukeep / 4096)
        layers.append(replace(layer, connections=tuple(real), neuron=neuron))
    try:
        SpikingNetwork(network.inputs, tuple(expected))
    except NetworkError:
        return  # one weight of 127 more can be too much for the accumulator
    found = quantize_network(SpikingNetwork(network.inputs, tuple(layers), Arithmetic.FLOAT))
    for want, got in zip(expected, found.layers, strict=True):
        for a, b in zip(_plain(network, want), _plain(network, got), strict=True):
            assert np.array_equal(a, b)
        names = ("keep", "bias") if want.neuron.readout else ("keep", "vth", "bias")
        for name in names:
            assert np.array_equal(getattr(want.neuron, name), getattr(got.neuron, name))
        assert (want.neuron.ukeep, want.neuron.reset_interval) == (got.neuron.ukeep, got.neuron.reset_interval)
        assert got.scale == pytest.approx(unit)


@given(data=st.data(), per_channel=st.booleans(), method=st.sampled_from(["max", "percentile", "mse"]))
@settings(max_examples=80)
def test_every_quantised_value_is_within_half_a_unit_or_clipped_and_no_bound_breaks(
    float_cases, data, per_channel, method
):
    network, _ = data.draw(float_cases(dyadic=False))
    ports = [InputPort(p.name, p.shape, 8, 1 / 16) for p in network.inputs if p.bits == REAL]
    found = quantize_network(network, ports, per_channel=per_channel, clip=Clipping(method, 90.0))
    sources = {port.name: port.scale for port in ports}
    for real, layer in zip(network.layers, found.layers, strict=True):
        assert max(map(abs, accumulator_interval(layer, source_intervals(found)))) < ACCUMULATOR_LIMIT
        unit = layer.scale / real.scale
        for connection, a, b in zip(real.connections, _plain(network, real), _plain(found, layer), strict=True):
            rows = connection.synapse.rows if isinstance(connection.synapse, Sparse) else np.arange(layer.shape[0])
            each = np.broadcast_to(unit, layer.shape[:1])[rows].reshape(-1, *(1 for _ in a.shape[1:]))
            off = np.abs(b * each - a.astype(np.float64) * sources.get(connection.source, 1.0))
            assert ((off <= each * 0.5000001) | (np.abs(b) == 127)).all()
        if not real.neuron.readout:
            off = np.abs(layer.neuron.vth * unit - real.neuron.vth)
            assert ((off <= unit * 0.5000001) | (layer.neuron.vth == 2**17 - 1)).all()


def test_a_scale_per_channel_serves_small_channels_that_one_per_layer_rounds_away():
    weight = np.random.default_rng(0).normal(0, 1, (3, 20)) * np.array([[100.0], [1.0], [0.01]])
    network = _dense(weight, readout=True)
    inputs = {"in": np.random.default_rng(1).integers(-128, 128, (2, 4, 20)).astype(np.int16)}
    truth = reference.run(network, inputs).potentials["out"]
    errors = {}
    for per_channel in (False, True):
        found = quantize_network(network, per_channel=per_channel)
        assert found.layers[0].scale.shape == ((3,) if per_channel else (1,))
        real = found.real_potentials("out", reference.run(found, inputs).potentials["out"])
        errors[per_channel] = np.sqrt(((real - truth) ** 2).mean((0, 1)) / (truth**2).mean((0, 1)))
    assert errors[False][2] > 0.9  # nothing is left of it
    assert (errors[True] < 0.01).all()


def test_thresholds_per_channel_keep_spikes_where_they_were():
    network = _dense([[100.0, 50.0], [0.01, 0.005]], keep=0.0)
    network = SpikingNetwork(
        network.inputs,
        (replace(network.layers[0], neuron=replace(network.layers[0].neuron, vth=np.array([120.0, 0.012]))),),
        Arithmetic.FLOAT,
    )
    inputs = {"in": np.array([[[1, 0], [1, 1], [0, 2], [0, 3]]], np.int16)}
    want = reference.run(network, inputs).spikes["out"]
    assert want[0, :, 0].tolist() == [0, 1, 0, 1]
    assert np.array_equal(want, reference.run(quantize_network(network, per_channel=True), inputs).spikes["out"])
    assert not np.array_equal(want, reference.run(quantize_network(network), inputs).spikes["out"])


def test_clipping_by_percentile_and_by_error_trades_an_outlier_for_the_rest():
    values = np.concatenate([np.random.default_rng(0).normal(0, 1, 4000), [40.0], np.zeros(5000)])
    units = {m: Clipping(m, 99.0).unit(values, 7) for m in ("max", "percentile", "mse")}
    assert units["max"] == 40 / 7
    assert units["percentile"] == pytest.approx(2.6 / 7, rel=0.1)

    def error(unit):
        return ((values - np.clip(np.rint(values / unit), -7, 7) * unit) ** 2).mean()

    assert error(units["mse"]) < error(units["max"])
    assert MSE.unit(np.array([1.0, -7.0]), 7) == 1.0  # nothing to gain
    assert MAX.unit(np.zeros(3), 7) == 1.0


@pytest.mark.parametrize(("method", "percentile"), [("median", 50.0), ("percentile", 0.0), ("percentile", 101.0)])
def test_clipping_that_does_not_exist_is_refused(method, percentile):
    with pytest.raises(ValueError, match=f"{method}|{percentile}"):
        Clipping(method, percentile)


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_unit_grows_until_the_accumulator_is_in_range(per_channel):
    weight = np.repeat([[1.0], [0.001]], 20, 1)
    found = quantize_network(_dense(weight, InputPort("in", (20,), 12), readout=True), per_channel=per_channel)
    # 20 inputs down to -2048: a weight of 3 can reach -122880, one of 4 too much
    assert accumulator_interval(found.layers[0], source_intervals(found))[0] == -122880
    assert found.layers[0].connections[0].synapse.weight[:, 0].tolist() == [3, 3 if per_channel else 0]


@pytest.mark.parametrize("per_channel", [False, True])
def test_a_layer_that_no_weight_brings_into_range_is_refused(per_channel):
    with pytest.raises(NetworkError, match="any weight but 0") as error:
        quantize_network(_dense(np.ones((2, 100)), InputPort("in", (100,), 16)), per_channel=per_channel)
    assert error.value.where == "$.layers[out]"


def test_pooling_becomes_a_convolution_with_a_threshold_as_fine_as_elsewhere():
    layer = Layer("out", (2, 2, 2), (Connection("in", SumPool2d((2, 2), (2, 2))),), _lif(vth=2.5))
    network = SpikingNetwork((InputPort("in", (2, 4, 4), 1),), (layer,), Arithmetic.FLOAT)
    (found,) = quantize_network(network).layers
    assert found.neuron.vth.tolist() == [round(2.5 * 127)]
    synapse = found.connections[0].synapse
    assert isinstance(synapse, Conv2d)
    assert (synapse.groups, np.unique(synapse.weight).tolist()) == (2, [127])


def test_a_port_of_real_numbers_is_calibrated_on_values_that_occur():
    network = _dense([[1.0, -1.0]], InputPort("in", (2,), REAL), readout=True)
    values = np.array([[[0.25, -2.0], [1.0, 0.0]]])
    with pytest.raises(NetworkError, match="takes real numbers") as error:
        quantize_network(network)
    assert error.value.where == "$.inputs[in]"
    port = calibrate(network.inputs[0], values, 8)
    assert (port.bits, port.scale) == (8, 2.0 / 127)
    integers = to_integers(port, np.array([[[0.25, -2.0], [9.0, 0.0]]]))
    assert integers.tolist() == [[[16, -127], [127, 0]]]
    found = quantize_network(network, [port])
    run = reference.run(found, {"in": to_integers(port, values)})
    real = found.real_potentials("out", run.potentials["out"])
    assert real == pytest.approx(np.array([[[2.25], [3.25]]]), abs=0.02)


@pytest.mark.parametrize(
    ("values", "bits", "what"),
    [(np.zeros((1, 3)), 8, "shape"), (np.array([[0, np.nan]]), 8, "not all finite"), (np.ones((1, 2)), 1, "1 bits")],
)
def test_calibration_that_cannot_be_is_refused(values, bits, what):
    with pytest.raises(NetworkError, match=what):
        calibrate(InputPort("in", (2,), REAL), values, bits)


def test_a_fixed_network_is_not_quantised_again():
    with pytest.raises(NetworkError, match="quantised already"):
        quantize_network(quantize_network(_dense([[1.0]])))


def _conv_layers(scale=1.0):
    rng = np.random.default_rng(5)
    common = {"stride": (1, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "keep": 0.9, "reset": Reset.ZERO}
    return (
        FloatConvLIF(
            name="first", source="in", weight=rng.normal(0, scale, (4, 2, 3, 3)), vth=1.0, readout=False, **common
        ),
        FloatConvLIF(
            name="out", source="first", weight=rng.normal(0, 1, (3, 4, 3, 3)), vth=1.0, readout=True, **common
        ),
    )  # fmt: skip


PORT = InputPort("in", (2, 6, 6), 8, 1 / 128)


@pytest.mark.parametrize("change", [{"weight": np.full((4, 2, 3, 3), np.nan)}, {"vth": np.inf}, {"vth": 0.0}])
def test_trained_layers_that_are_not_finite_and_positive_are_refused(change):
    first, out = _conv_layers()
    with pytest.raises(NetworkError, match="not finite and positive") as error:
        quantize([PORT], [replace(first, **change), out])
    assert error.value.where == "$.layers[first]"


def test_a_layer_that_equals_the_float_one_has_no_error_and_flips_of_the_first_reach_the_second():
    inputs = {"in": np.random.default_rng(0).integers(-128, 128, (2, 5, 2, 6, 6)).astype(np.int16)}
    layers = [replace(layer, keep=1.0 * layer.readout) for layer in _conv_layers()]
    # weights of the second layer are whole multiples of its unit, and nothing leaks
    layers[1] = replace(layers[1], weight=np.sign(layers[1].weight))
    network = float_network([PORT], layers)
    report = error_report(network, quantize([PORT], layers), inputs)
    first, out = report.layers
    assert (first.layer, out.layer) == ("first", "out")
    assert [e.step for e in out.alone] == [0, 1, 2, 3, 4]
    assert first.accumulated == first.alone  # nothing comes before it
    assert 0 < max(e.flipped for e in first.alone) < 0.1
    assert all(e.rms < 1e-9 and e.flipped == 0 for e in out.alone)
    assert out.accumulated[-1].rms > 0.01
    assert out.accumulated[-1].rms >= out.accumulated[0].rms
    assert out.accumulated[0].largest >= out.accumulated[0].rms
    assert json.loads(json.dumps(report.to_dict()))["layers"][1]["alone"][4]["step"] == 4


def test_the_error_report_shows_what_clipping_costs_and_counts_saturation():
    layers = _conv_layers(scale=3.0)
    network = float_network([PORT], layers)
    inputs = {"in": np.random.default_rng(0).integers(-128, 128, (1, 4, 2, 6, 6)).astype(np.int16)}
    error = {}
    for name, clip in (("max", MAX), ("clipped", Clipping("percentile", 40.0))):
        report = error_report(network, quantize([PORT], layers, clip=clip), inputs)
        error[name] = report.layers[1].alone[-1].rms / report.layers[1].signal
        assert report.layers[0].saturations == 0
    assert error["max"] < 0.02
    assert error["clipped"] > 5 * error["max"]
    integer = quantize([PORT], layers)
    biased = replace(integer.layers[1], neuron=replace(integer.layers[1].neuron, bias=np.array([2**23 - 1])))
    full = error_report(network, SpikingNetwork(integer.inputs, (integer.layers[0], biased)), inputs)
    assert full.layers[1].saturations > 0


def test_a_report_on_networks_that_do_not_belong_together_is_refused():
    network = float_network([PORT], _conv_layers())
    with pytest.raises(NetworkError, match="not a float one and its quantised form"):
        error_report(network, network, {})
    with pytest.raises(NetworkError, match="not a float one and its quantised form"):
        error_report(network, quantize_network(_dense([[1.0]])), {})
