"""Counts, energy and step times against SANA-FE itself, which runs in its own process where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwsim.chip import load
from hwsim.engine import run
from hwsim.mapping import map_network
from hwsim.sanafe import compare, export
from snn_export import reference
from snn_export.network import LIF, Connection, Conv2d, Dense, InputPort, Layer, Reset, SpikingNetwork, SumPool2d

_SCRIPT = Path(__file__).parents[3] / "benchmarks" / "run_sanafe.py"


@pytest.fixture(scope="session")
def simulate(tmp_path_factory):
    """Run SANA-FE on exported data; skips where no interpreter has it."""
    python = os.environ.get("HYBRID_SANAFE_PYTHON") or (sys.executable if importlib.util.find_spec("sanafe") else None)
    if python is None:
        pytest.skip("SANA-FE is not installed: name a Python that has it in HYBRID_SANAFE_PYTHON")
    folder = tmp_path_factory.mktemp("sanafe")

    def call(data):
        (folder / "network.json").write_text(json.dumps(data))
        command = [python, _SCRIPT, folder / "network.json", folder / "report.json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "report.json").read_text())

    return call


def _levels(network, inputs):
    """What every neuron does in every step of the GOP by the reference: 2 fires, 1 is active, 0 is idle."""
    steps = next(iter(inputs.values())).shape[1]
    found = {x.name: np.zeros((steps, *x.shape), int) for x in network.layers}
    state = {}
    for t in range(steps):
        values = {name: x[0, t].astype(np.int64) for name, x in inputs.items()}
        for layer in network.layers:
            if layer.neuron.clears_before(t):
                state[layer.name] = np.zeros((2, *layer.shape), np.int64)
            u, v = state[layer.name]
            there = {name: (x != 0).astype(np.int64) for name, x in values.items()}
            kept = (u != 0) & (layer.neuron.ukeep > 0) | (v != 0)
            active = kept | (reference.accumulate(_binary(layer), there) != 0)
            active |= reference.per_channel(layer.neuron.bias, layer) != 0
            u, v, fired, _ = reference.step(layer, u, v, reference.accumulate(layer, values))
            state[layer.name], values[layer.name] = (u, v), fired.astype(np.int64)
            found[layer.name][t] = np.where(fired, 2, active)
    return found


def _binary(layer):
    """The layer with all nonzero weights 1."""
    connections = [
        c if isinstance(c.synapse, SumPool2d)
        else replace(c, synapse=replace(c.synapse, weight=(c.synapse.weight != 0).astype(np.int8)))
        for c in layer.connections
    ]  # fmt: skip
    return replace(layer, connections=tuple(connections))


def _of(mapping, chip):
    return replace(mapping, chip=chip.name, counts_active=chip.costs.prices_activity)


@given(data=st.data())
@settings(max_examples=40)
def test_with_its_own_neurons_sanafe_agrees_on_chains(cases, mappings, simulate, data):
    network, inputs = data.draw(cases(graph=False, current=False, interval=False, size=(1, 7)))
    chip = load("loihi1-fitted")
    mapping = _of(data.draw(mappings(network)), chip)
    result = run(network, inputs, mapping)
    assume(not any(result.recording.saturations.values()))  # SANA-FE does not clip
    found = compare(network, mapping, chip, result, simulate(export(network, mapping, chip, inputs)))
    assert found.differences == ()


@given(data=st.data())
@settings(max_examples=40)
def test_with_firing_imposed_sanafe_agrees_on_any_network_and_barrier_chip(cases, mappings, simulate, data):
    network, inputs = data.draw(cases(size=(1, 4)))
    chip = load(data.draw(st.sampled_from(["loihi1-fitted", "loihi1", "loihi2"])))
    mapping = _of(data.draw(mappings(network)), chip)
    exported = export(network, mapping, chip, inputs, _levels(network, inputs))
    found = compare(network, mapping, chip, run(network, inputs, mapping), simulate(exported), imposed=True)
    assert found.differences == ()


def test_connections_of_three_kinds_cost_the_same_in_sanafe(three_kinds, line_mapping, simulate):
    (network, inputs), chip = three_kinds, load("loihi1-fitted")
    mapping = line_mapping(chip)
    exported = export(network, mapping, chip, inputs, _levels(network, inputs))
    assert [edge["unit"] for edge in exported["edges"]] == [f"synapse_{x}" for x in ("conv", "conv", "dense", "sparse")]
    found = compare(network, mapping, chip, run(network, inputs, mapping), simulate(exported), imposed=True)
    assert found.differences == ()


@pytest.fixture
def wide():
    """Two convolutions, a pool and a matrix, one channel of one layer with a bias, with a sparse graded input."""
    rng = np.random.default_rng(5)

    def lif(vth, reset=Reset.SOFT, bias=(0,)):
        return LIF(np.array([3686], np.int32), np.array([vth], np.int32), reset, bias=np.array(bias, np.int32))

    first = Conv2d(rng.integers(-20, 30, (4, 2, 3, 3), dtype=np.int8), (1, 1), (1, 1))
    second = Conv2d(rng.integers(-20, 30, (4, 4, 3, 3), dtype=np.int8), (2, 2), (1, 1))
    matrix = Dense(rng.integers(-20, 30, (12, 64), dtype=np.int8))
    layers = (
        Layer("first", (4, 16, 16), (Connection("in", first),), lif(900)),
        Layer("second", (4, 8, 8), (Connection("first", second),), lif(60, Reset.ZERO, (0, 500, 0, 0))),
        Layer("pool", (4, 4, 4), (Connection("second", SumPool2d((2, 2), (2, 2))),), lif(1)),
        Layer("matrix", (12,), (Connection("pool", matrix),), lif(90)),
    )
    values = rng.integers(-128, 128, (1, 12, 2, 16, 16)).astype(np.int16)
    values[rng.random(values.shape) < 0.8] = 0
    return SpikingNetwork((InputPort("in", (2, 16, 16), 8),), layers), {"in": values}


@pytest.mark.parametrize(("neurons", "tiles"), [(1024, 1), (256, 2), (64, 4), (13, 29)])
def test_sanafe_agrees_on_mapped_networks_in_every_row_of_its_barrier_table(wide, small_chip, simulate, neurons, tiles):
    network, inputs = wide
    chip = small_chip("loihi1-fitted", (8, 4, 4), neurons=neurons)
    mapping = map_network(network, chip)
    assert chip.costs.sync_time(len(set(mapping.tiles))) == chip.costs.sync_time(tiles)
    result = run(network, inputs, mapping)
    found = compare(network, mapping, chip, result, simulate(export(network, mapping, chip, inputs)))
    assert found.differences == ()
    assert min(found.spikes, found.packets, found.synops) > 1000
    assert (found.hops > 0) == (tiles > 1)


def test_one_input_value_more_or_another_constant_is_a_difference_that_is_named(wide, simulate):
    network, inputs = wide
    chip = load("loihi1-fitted")
    mapping = map_network(network, chip)
    report = simulate(export(network, mapping, chip, inputs))
    result = run(network, inputs, mapping)
    slower = chip.model_copy(update={"costs": chip.costs.model_copy(update={"time_packet": chip.costs.time_spike})})
    (line,) = compare(network, mapping, slower, result, report).differences
    assert line.startswith("time")
    silent = int(np.flatnonzero(inputs["in"][0, 3] == 0)[0])
    inputs["in"].reshape(12, -1)[3, silent] = 1
    found = compare(network, mapping, chip, run(network, inputs, mapping), report)
    named = {line.split(" at ")[0].split(":")[0] for line in found.differences}
    assert {"packets received", "synaptic operations", "energy"} <= named
