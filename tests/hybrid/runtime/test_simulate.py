"""A network alone on a chip: the numbers are the engine's, float networks are quantised first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from hwsim import engine
from hwsim.chip import load, names
from hwsim.mapping import DoesNotFit, assess, map_network
from hwsim.timing import step_times
from hybrid.report.simulation import EVENTS, build
from hybrid.runtime.simulate import simulate, to_integer_network
from snn_export import reference
from snn_export.network import (
    LIF,
    REAL,
    Arithmetic,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    Reset,
    SpikingNetwork,
)
from snn_export.quantize import quantize_network


@pytest.fixture(scope="module")
def line():
    """Four inputs, four neurons that fire when their input does, two read-outs."""
    fire, out = LIF(*np.array([[0], [0]], np.int32)), LIF(*np.array([[4096], [0]], np.int32), Reset.NONE, True)
    dense = Dense(np.array([[1, 0, 2, 3], [4, 5, 6, 0]], np.int8))
    one = Layer("one", (1, 2, 2), (Connection("in", Conv2d(np.ones((1, 1, 1, 1), np.int8))),), fire)
    return SpikingNetwork((InputPort("in", (1, 2, 2), 1),), (one, Layer("out", (2,), (Connection("one", dense),), out)))


@pytest.fixture(scope="module")
def float_line():
    """Two inputs of real numbers, two read-outs."""
    synapse = Dense(np.array([[0.5, -1.0], [0.25, 2.0]], np.float32))
    neuron = LIF(np.array([0.5]), np.array([1.0]), Reset.NONE, True, bias=np.zeros(1))
    layer = Layer("out", (2,), (Connection("in", synapse),), neuron)
    return SpikingNetwork((InputPort("in", (2,), REAL),), (layer,), Arithmetic.FLOAT)


@given(data=st.data(), name=st.sampled_from(names()))
@settings(max_examples=20)
def test_every_row_adds_up_to_what_the_engine_counted(cases, data, name):
    network, inputs = data.draw(cases())
    chip = load(name)
    try:
        report = build(simulate(network, inputs, chip), "net", ())
    except DoesNotFit:
        reject()
    mapping = map_network(network, chip)
    result = engine.run(network, inputs, mapping)
    counts, timing = result.counts, step_times(chip, mapping, result.counts)
    for event in EVENTS:
        array = getattr(counts, event)
        assert getattr(report.totals, event) == array.sum()
        assert [getattr(row, event) for row in report.cores] == array.sum((0, 1)).tolist()
        assert sum(getattr(row, event) for row in report.layers) == array.sum()
    found = assess(network, chip, mapping)
    assert (report.placement.slowest, report.placement.hops) == (found.objective.slowest, found.objective.hops)
    assert (report.placement.slowest_gap, report.placement.hops_gap) == found.gap
    for i, row in enumerate(report.links):
        assert (row.packets, row.packets_max) == (counts.link_load[..., i].sum(), counts.link_load[..., i].max())
        assert row.critical_steps == sum(step.critical_link == i for step in report.by_step)
    assert all(row.critical_core is None or row.critical_link is None for row in report.by_step)
    for row in report.layers:
        held = [core for core in report.cores if core.layer == row.layer]
        assert row.synops == sum(core.synops for core in held)
        assert (row.cores, row.neurons) == (len(held), sum(core.neurons for core in held))
    assert {row.layer: row.saturations for row in report.layers} == result.recording.saturations
    assert {row.layer: row.wraps for row in report.layers} == result.wraps
    assert [row.time_s.nominal for row in report.by_step] == timing.step.nominal.ravel().tolist()
    assert [row.input_events for row in report.by_step] == counts.input_events.ravel().tolist()
    assert sum(row.energy_j.high for row in report.cores) == pytest.approx(
        report.energy_j.high - report.energy_by_event_j["static"].high, rel=1e-9, abs=1e-18
    )


def test_the_critical_core_of_a_step_is_the_busiest_and_fixed_steps_have_none(line):
    inputs = {"in": np.array([[[[[1, 0], [1, 1]]], [[[0, 0], [0, 0]]]]], np.int16)}
    report = build(simulate(line, inputs, load("loihi2")), "net", ())
    # step 0: four neurons and three spikes on the first core; it updates more neurons in step 1, too
    assert [(row.critical_core, row.critical_layer) for row in report.by_step] == [(0, "one"), (0, "one")]
    assert [row.critical_steps for row in report.cores] == [2, 0]
    assert report.links == ()  # both cores are on one tile
    for name in ("tianjic", "truenorth"):
        fixed = build(simulate(line, inputs, load(name)), "net", ())
        assert all(row.critical_core is None for row in fixed.by_step)
        assert not any(row.critical_steps for row in fixed.cores)


@given(data=st.data())
@settings(max_examples=30)
def test_a_float_network_of_integers_keeps_them_and_runs_as_its_quantised_form(float_cases, data):
    network, inputs = data.draw(float_cases(dyadic=True, interval=False))
    ready, values, notes = to_integer_network(network, inputs)
    assert ready.fixed
    assert "quantised" in notes[0]
    reference.run(ready, values)  # the values fit the ports
    for port, before in zip(ready.inputs, network.inputs, strict=True):
        assert port.name == before.name
        if before.bits == REAL and port.graded:
            assert np.abs(values[port.name] * port.scale - inputs[port.name]).max() <= port.scale / 2 * (1 + 1e-9)
        else:
            assert np.array_equal(values[port.name], inputs[port.name])


def test_real_values_of_zero_and_one_enter_as_spikes(float_line):
    spikes = {"in": np.array([[[1.0, 0.0], [1.0, 1.0]]])}
    ready, values, notes = to_integer_network(float_line, spikes)
    assert [port.bits for port in ready.inputs] == [1]
    assert values["in"].dtype == np.int16
    assert len(notes) == 1
    expected = quantize_network(replace(float_line, inputs=(replace(float_line.inputs[0], bits=1),)))
    assert np.array_equal(*(net.layers[0].connections[0].synapse.weight for net in (ready, expected)))
    ready, values, notes = to_integer_network(float_line, {"in": spikes["in"] * 0.7})
    assert [port.bits for port in ready.inputs] == [8]
    assert values["in"].max() == 127
    assert "calibrated to 8 bits" in notes[1]
