"""Both Lava lowerings against the reference, bit for bit, in real Lava.

A start of Lava takes seconds: each example joins several random networks into one of separate streams.
LAVA_EXAMPLES raises the number of examples; a failure is not shrunk, but printed so that it can be replayed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.lava import kernels
from snn_export.lava.population import FixedPopulation
from snn_export.network import LIF, Connection, Conv2d, InputPort, Layer, Reset, SpikingNetwork

needs_lava = pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))

EXAMPLES = int(os.environ.get("LAVA_EXAMPLES", "10"))
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@given(data=st.data(), band=st.sampled_from([1, 2**20]))
@settings(max_examples=100)
def test_the_arithmetic_of_the_fused_process_equals_the_reference(cases, data, band):
    network, inputs = data.draw(cases())
    expected = reference.run(network, inputs)
    shapes = network.shapes
    with mock.patch.object(kernels, "BAND_BYTES", band):
        synapses = {
            layer.name: [
                (c.source, kernels.accumulate(c.synapse, shapes[c.source], np.float32)) for c in layer.connections
            ]
            for layer in network.layers
        }
    populations = {layer.name: FixedPopulation(layer) for layer in network.layers}
    gops, steps = next(iter(inputs.values())).shape[:2]
    for g, t in np.ndindex(gops, steps):
        values = {name: array[g, t] for name, array in inputs.items()}
        for name, population in populations.items():
            if network.layer(name).neuron.clears_before(t):
                population.clear()
            a = sum(kernel(values[source]).astype(np.int32) for source, kernel in synapses[name])
            values[name] = population.step(a)
            assert np.array_equal(values[name], expected.spikes[name][g, t])
            assert np.array_equal(population.v, expected.potentials[name][g, t])
    assert {name: p.saturations for name, p in populations.items()} == dict(expected.saturations)


def _join(cases):
    """One network of the cases as separate streams, cut to the GOPs and steps that all of them have."""
    gops, steps = np.min([next(iter(inputs.values())).shape[:2] for _, inputs in cases], axis=0)
    ports, layers, arrays = [], [], {}
    for i, (network, inputs) in enumerate(cases):
        for port in network.inputs:
            ports.append(replace(port, name=f"{i}/{port.name}"))
            arrays[f"{i}/{port.name}"] = inputs[port.name][:gops, :steps]
        for layer in network.layers:
            connections = tuple(replace(c, source=f"{i}/{c.source}") for c in layer.connections)
            layers.append(replace(layer, name=f"{i}/{layer.name}", connections=connections))
    return SpikingNetwork(tuple(ports), tuple(layers), cases[0][0].arithmetic), arrays


@needs_lava
@given(data=st.data())
@settings(max_examples=EXAMPLES, phases=PHASES)
def test_fused_equals_the_reference(cases, data):
    network, inputs = _join(data.draw(st.lists(cases(), min_size=2, max_size=3)))
    expected = reference.run(network, inputs)
    found = lava.run(network, inputs, "fused")
    assert first_difference(network, expected, found) is None
    assert dict(found.saturations) == dict(expected.saturations)


@needs_lava
@given(data=st.data())
@settings(max_examples=max(1, EXAMPLES // 2), phases=PHASES)
def test_stock_equals_the_reference_on_networks_it_accepts(cases, data):
    plain = cases(resets=(Reset.ZERO,), per_channel=False, bias=False)
    accepted = plain.filter(lambda case: not lava.check(case[0], "stock"))
    network, inputs = _join(data.draw(st.lists(accepted, min_size=2, max_size=2)))
    found = lava.run(network, inputs, "stock")
    assert first_difference(network, reference.run(network, inputs), found) is None
    assert not found.saturations


def _stream(name, channels, rng):
    """Three ConvLIF layers of stride 2, the last a read-out, for signed 8-bit input [C, 24, 32]."""
    layers, source, size = [], name, (24, 32)
    for i, (inside, outside) in enumerate(((channels, 8), (8, 12), (12, 16))):
        weight = rng.integers(-20, 21, (outside, inside, 3, 3), dtype=np.int8)
        size = (size[0] // 2, size[1] // 2)
        last = i == 2
        neuron = LIF(
            np.array([3500 - 200 * i], np.int32),
            np.array([600 if i == 0 else 60], np.int32),
            Reset.NONE if last else Reset.ZERO,
            last,
        )
        connection = Connection(source, Conv2d(weight, (2, 2), (1, 1)))
        source = f"{name}{i}"
        layers.append(Layer(source, (outside, *size), (connection,), neuron))
    return InputPort(name, (channels, 24, 32), 8), layers


@needs_lava
@pytest.mark.parametrize("lowering", ["stock", "fused"])
def test_two_streams_as_the_product_runs_them(lowering):
    rng = np.random.default_rng(7)
    (motion, first), (residual, second) = _stream("motion", 2, rng), _stream("residual", 3, rng)
    network = SpikingNetwork((motion, residual), (*first, *second))
    inputs = {port.name: rng.integers(-128, 128, (3, 5, *port.shape)).astype(np.int16) for port in network.inputs}
    expected = reference.run(network, inputs)
    assert all(expected.spikes[name].any() for name in ("motion1", "residual1"))
    assert first_difference(network, expected, lava.run(network, inputs, lowering)) is None
