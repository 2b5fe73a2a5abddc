"""A Lava runtime that is kept: compiled once, run many times, gone when it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from snn_export import lava, reference
from snn_export.compare import first_difference
from snn_export.lava import guard, job
from snn_export.network import LIF, Connection, Conv2d, Dense, InputPort, Layer, Reset, SpikingNetwork

pytestmark = pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))

IDLE = """
import sys
import numpy as np
from snn_export import lava
from snn_export.network import LIF, Connection, Dense, InputPort, Layer, SpikingNetwork

one = np.ones(1, np.int32)
layer = Layer("out", (2,), (Connection("in", Dense(np.ones((2, 3), np.int8))),), LIF(one, one))
network = SpikingNetwork((InputPort("in", (3,), 1),), (layer,))
runner = lava.Runner(network, "fused")
runner.run({"in": np.ones((1, 2, 3), np.int16)})
print("idle", flush=True)
sys.stdin.read()
"""


def _network(intervals=(0, 0), bias=0):
    rng = np.random.default_rng(3)
    weight = rng.integers(-40, 60, (2, 1, 3, 3), dtype=np.int8)
    layers, source = [], "in"
    for i, interval in enumerate(intervals):
        synapse = Conv2d(weight if i == 0 else rng.integers(-40, 60, (2, 2, 3, 3), dtype=np.int8), padding=(1, 1))
        neuron = LIF(np.array([4000], np.int32), np.array([30 + 200 * (i == 0)], np.int32), reset_interval=interval)
        layers.append(Layer(f"layer{i}", (2, 4, 4), (Connection(source, synapse),), neuron))
        source = layers[-1].name
    out = LIF(np.array([4096], np.int32), np.array([0], np.int32), Reset.NONE, True, bias=np.array([bias], np.int32))
    layers.append(Layer("out", (3,), (Connection(source, Dense(rng.integers(-9, 9, (3, 32), dtype=np.int8))),), out))
    return SpikingNetwork((InputPort("in", (1, 4, 4), 6),), tuple(layers))


def _inputs(gops, steps, seed=0):
    return {"in": np.random.default_rng(seed).integers(-32, 32, (gops, steps, 1, 4, 4)).astype(np.int16)}


def _check(network, runner, inputs):
    expected, found = reference.run(network, inputs), runner.run(inputs)
    assert expected.spikes["layer1"].any()
    assert first_difference(network, expected, found) is None
    return expected, found


@pytest.mark.parametrize("lowering", ["stock", "fused"])
@pytest.mark.parametrize("intervals", [(0, 0), (2, 3)], ids=["GOPs", "periods"])
def test_every_run_of_a_runner_equals_the_reference_in_one_runtime(family, lowering, intervals):
    network = _network(intervals)
    with lava.Runner(network, lowering) as runner:
        workers = set()
        for seed, gops in enumerate((1, 3, 1, 2)):
            _check(network, runner, _inputs(gops, 5, seed))
            workers.add(frozenset(process.pid for process in family.processes()))
        assert len(workers) == 1
        assert len(list(family.folder.glob("snn-lava-*/run-*"))) == 0
    assert family.soon(lambda: not family.leftovers())


@pytest.mark.parametrize("lowering", ["stock", "fused"])
def test_a_start_does_not_compile_the_libraries_of_lavas_compiler_anew(family, lowering):
    with lava.Runner(_network(), lowering) as runner:
        runner.run(_inputs(1, 5))
        compiled = list(family.folder.glob("snn-lava-*/pycache/**/*.pyc"))
        assert compiled
        assert [path for path in compiled if {"networkx", "pandas", "compiler"} & set(path.parts)] == []


def test_saturations_are_counted_run_by_run(family):
    network = _network(bias=2**22)
    with lava.Runner(network, "fused") as runner:
        for seed in (0, 1):
            expected, found = _check(network, runner, _inputs(1, 6, seed))
            assert dict(found.saturations) == dict(expected.saturations)
            assert found.saturations["out"] > 0


def test_another_number_of_steps_starts_lava_anew(family):
    network = _network()
    with lava.Runner(network, "stock") as runner:
        _check(network, runner, _inputs(1, 4))
        before = {process.pid for process in family.processes()}
        _check(network, runner, _inputs(1, 6))
        assert not before & {process.pid for process in family.processes()}


def test_a_run_that_fails_ends_lava_and_the_next_one_starts_it_again(family, monkeypatch):
    network, write = _network(), job.write_run

    def write_bad_values(run, *args):
        write(run, *args)
        np.save(job.input_path(run, 0), np.ones((1, 4, 1, 7, 7), np.int16))

    with lava.Runner(network, "fused") as runner:
        _check(network, runner, _inputs(1, 4))
        with monkeypatch.context() as patch:
            patch.setattr(job, "write_run", write_bad_values)
            with pytest.raises(lava.LavaError, match="Mismatch"):
                runner.run(_inputs(1, 4))
        assert family.soon(lambda: not family.leftovers())
        _check(network, runner, _inputs(1, 4))


def test_a_worker_that_is_killed_between_runs_is_an_error_and_not_a_hang(family):
    network = _network()
    with lava.Runner(network, "fused") as runner:
        _check(network, runner, _inputs(1, 4))
        (worker,) = [
            process for process in family.processes()
            if "snn_export.lava.worker" in process.cmdline() and guard.__file__ in process.parent().cmdline()[:4]
        ]  # fmt: skip
        worker.kill()
        with pytest.raises(lava.LavaError, match="SIGKILL"):
            runner.run(_inputs(1, 4))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_parent_that_is_killed_between_runs_leaves_nothing_behind(family, number):
    with subprocess.Popen(
        [sys.executable, "-c", IDLE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "idle\n"
        segments = family.segments()
        assert len(segments) > 3
        parent.send_signal(number)
        assert parent.wait(5) == -number
    assert family.soon(lambda: not family.leftovers()), family.leftovers()
    assert not any(segment.exists() for segment in segments)


def test_a_network_that_the_lowering_cannot_express_is_refused_before_anything_starts(family):
    network = _network()
    soft = replace(network.layers[0], neuron=replace(network.layers[0].neuron, reset=Reset.SOFT))
    with pytest.raises(lava.LavaError, match="use the fused lowering"):
        lava.Runner(SpikingNetwork(network.inputs, (soft, *network.layers[1:])), "stock")
    assert not family.leftovers()
