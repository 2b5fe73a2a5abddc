"""Every executor of the spiking graph against the reference on random networks, in real Lava.

A start of Lava takes a second or more: many networks are joined into one of separate streams. A failure names
the network by its number and the place of the first difference; the seed in the summary draws it again.
"""

from __future__ import annotations

import os
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwsim import engine
from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.lava import kernels
from snn_export.lava.population import FixedPopulation
from snn_export.network import LIF, Connection, Conv2d, InputPort, Layer, Reset, SpikingNetwork

needs_lava = pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))

FACTOR = float(os.environ.get("CONTRACT_FACTOR", "1"))
"""Raises the numbers of networks."""
NETWORKS, STOCK_NETWORKS, FLOAT_NETWORKS = (int(FACTOR * n) for n in (300, 30, 20))
SIZE = (2, 4)
"""GOPs and steps of each network."""
STOCK = {"resets": (Reset.ZERO,), "per_channel": False, "bias": False}
"""Features that some network has to lack to run in stock Lava."""
TOLERANCE = 1e-5
"""Share of the largest potential by which float executors may differ: they add in different orders."""


def _features_of(drawn):
    """What occurs in the networks of the cases, so that a suite which compares too little fails."""
    found = set()
    for network, _ in drawn:
        for layer in network.layers:
            neuron, users = layer.neuron, {c.source for x in network.layers for c in x.connections}
            found |= {type(c.synapse).__name__ for c in layer.connections} | {neuron.reset.value}
            found |= {"branches"} if len(layer.connections) > 1 or len(network.inputs) > 1 else set()
            found |= {"deep"} if layer.name in users else set()
            found |= {
                word
                for word, there in {
                    "per channel": neuron.keep.size > 1 or neuron.vth.size > 1,
                    "ukeep": neuron.ukeep > 0, "bias": neuron.bias.any(), "readout": neuron.readout,
                    "reset_interval": 0 < neuron.reset_interval < SIZE[1],
                }.items()
                if there
            }  # fmt: skip
    return found


PLAIN = {"Conv2d", "Dense", "Sparse", "SumPool2d", "zero", "readout", "ukeep", "reset_interval", "deep", "branches"}
ALL = PLAIN | {"soft", "none", "per channel", "bias"}


@pytest.fixture(scope="module")
def drawn(cases, draw_cases):
    """The random networks of the contract, each with its inputs."""
    found = draw_cases(cases(depth=2, size=SIZE), NETWORKS, enough=lambda x: _features_of(x) == ALL)
    assert _features_of(found) == ALL
    return found


def test_hwsim_equals_the_reference_on_every_network(drawn, report):
    compared = 0
    for number, (network, inputs) in enumerate(drawn):
        expected, found = reference.run(network, inputs), engine.run(network, inputs).recording
        assert first_difference(network, expected, found) is None, number
        assert dict(found.saturations) == dict(expected.saturations), number
        compared += 1
    report(f"{compared} networks: hwsim, on torch, equals the reference")
    assert compared >= NETWORKS


@needs_lava
def test_fused_lava_equals_the_reference_on_every_network(drawn, batches, report):
    compared = spikes = 0
    for count, network, inputs in batches(drawn, 60):
        expected, found = reference.run(network, inputs), lava.run(network, inputs, "fused")
        assert first_difference(network, expected, found) is None
        assert dict(found.saturations) == dict(expected.saturations)
        compared, spikes = compared + count, spikes + sum(int(x.sum()) for x in expected.spikes.values())
    report(f"{compared} networks, {spikes} spikes: fused Lava equals the reference")
    assert compared >= NETWORKS
    assert spikes > NETWORKS


@needs_lava
def test_stock_lava_equals_the_reference_on_networks_it_accepts(cases, draw_cases, batches, report):
    strategy = cases(**STOCK, size=SIZE)
    complete = PLAIN - {"readout"}
    found = draw_cases(
        strategy,
        STOCK_NETWORKS,
        lambda network: not lava.check(network, "stock"),
        lambda x: _features_of(x) >= complete,
    )
    assert _features_of(found) >= complete
    compared = 0
    for count, network, inputs in batches(found, 10):
        recording = lava.run(network, inputs, "stock")
        assert first_difference(network, reference.run(network, inputs), recording) is None
        assert not recording.saturations
        compared += count
    report(f"{compared} networks: stock Lava equals the reference")
    assert compared >= STOCK_NETWORKS


@needs_lava
@pytest.mark.parametrize("lowering", ["fused", "stock"])
@pytest.mark.parametrize("dyadic", [True, False], ids=["dyadic", "any"])
def test_lava_equals_the_float_reference(float_cases, draw_cases, batches, lowering, dyadic, report):
    strategy = float_cases(dyadic=dyadic, size=SIZE, depth=2, **(STOCK if lowering == "stock" else {}))
    wanted = FLOAT_NETWORKS // (4 if lowering == "stock" else 1)
    compared = 0
    found = draw_cases(strategy, wanted, lambda network: not lava.check(network, lowering))
    for count, network, inputs in batches(found, 20):
        expected, recording = reference.run(network, inputs), lava.run(network, inputs, lowering)
        assert first_difference(network, expected, recording, 0 if dyadic else TOLERANCE) is None
        compared += count
    report(f"{compared} float networks: {lowering} Lava equals the reference")
    assert compared >= wanted


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
