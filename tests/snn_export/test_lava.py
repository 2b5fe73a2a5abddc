"""The Lava backend when things go wrong: failures, time-outs, killed parents, networks it cannot express."""

from __future__ import annotations

import contextlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest

from snn_export import lava
from snn_export.lava import guard, job
from snn_export.network import LIF, Connection, Conv2d, Dense, InputPort, Layer, Reset, SpikingNetwork, SumPool2d

needs_lava = pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))

PATIENCE_S = 5.0
LONG = 200_000
"""Steps that take minutes."""
SCRIPT = """
import signal, sys
import numpy as np
from snn_export import lava
from snn_export.network import LIF, Connection, Dense, InputPort, Layer, SpikingNetwork

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits "ignore"
one = np.ones(1, np.int32)
width, steps = %d, %d
layer = Layer("out", (2,), (Connection("in", Dense(np.ones((2, width), np.int8))),), LIF(one, one))
network = SpikingNetwork((InputPort("in", (width,), 1),), (layer,))
lava.run(
    network, {"in": np.ones((1, steps, width), np.int16)}, "fused",
    progress=lambda done, total: print(done, flush=True),
)
"""


def _network(**neuron):
    constants = {"keep": np.array([4000], np.int32), "vth": np.array([3], np.int32), **neuron}
    synapse = Conv2d(np.ones((2, 1, 3, 3), np.int8), padding=(1, 1))
    layer = Layer("out", (2, 4, 4), (Connection("in", synapse),), LIF(**constants))
    return SpikingNetwork((InputPort("in", (1, 4, 4), 8),), (layer,))


def _inputs(steps=3):
    return {"in": np.ones((1, steps, 1, 4, 4), np.int16)}


@needs_lava
def test_an_exception_in_a_process_model_is_reported_at_once_with_its_traceback(family, monkeypatch):
    write = job.write_run

    def write_bad_values(run, *args):
        write(run, *args)
        np.save(job.input_path(run, 0), np.ones((1, 3, 1, 7, 7), np.int16))

    monkeypatch.setattr(job, "write_run", write_bad_values)
    start = time.monotonic()
    with pytest.raises(lava.LavaError) as error:
        lava.run(_network(), _inputs(), "fused")
    assert time.monotonic() - start < 15
    assert error.value.exit_code == 1
    assert "AssertionError" in error.value.what
    assert "Mismatch" in error.value.what
    assert "source.py" in error.value.what


@needs_lava
@pytest.mark.parametrize("timeout_s", [0.8, 5.0], ids=["while starting", "while running"])
def test_a_run_that_takes_too_long_ends_in_time(family, timeout_s):
    seen = set()
    start = time.monotonic()
    with pytest.raises(lava.LavaError, match=f"not done after {timeout_s:g} s") as error:
        lava.run(
            _network(), _inputs(LONG), "fused", timeout_s=timeout_s,
            progress=lambda done, total: seen.update(family.segments()),
        )  # fmt: skip
    assert time.monotonic() - start < timeout_s + 3
    assert error.value.exit_code == 1
    assert not any(segment.exists() for segment in seen)


@needs_lava
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_parent_that_is_killed_leaves_nothing_behind(family, number):
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT % (3, LONG)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        parent.stdout.readline()  # the graph runs
        segments = family.segments()
        assert len(segments) > 3
        assert len(family.processes()) > 4
        parent.send_signal(number)
        sent = time.monotonic()
        assert parent.wait(PATIENCE_S) == -number
        if number == signal.SIGINT:
            assert time.monotonic() - sent < 2
            assert "KeyboardInterrupt" in parent.stderr.read()
    assert family.soon(lambda: not family.leftovers()), family.leftovers()
    assert not any(segment.exists() for segment in segments)


@needs_lava
def test_the_next_run_removes_what_runs_left_all_of_whose_processes_were_killed_at_once(family):
    with subprocess.Popen([sys.executable, "-c", SCRIPT % (3, LONG)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        for process in family.processes():
            process.suspend()
        for process in family.processes():
            process.kill()
        parent.wait(PATIENCE_S)
    segments, folders = family.segments(), list(family.folder.glob("snn-lava-*"))
    assert len(segments) > 3
    assert folders
    with lava.Runner(_network(), "fused") as runner:
        runner.run(_inputs())
        assert not any(path.exists() for path in (*segments, *folders))
        with lava.Runner(_network(), "fused") as other:  # those of a living run stay
            other.run(_inputs())
        runner.run(_inputs())


@needs_lava
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_guardian_that_is_killed_ends_the_run(family, number):
    seen = set()

    def kill(done, total):
        seen.update(family.segments())
        for process in family.processes():
            with contextlib.suppress(psutil.Error):  # it may end meanwhile
                if guard.__file__ in process.cmdline():
                    process.send_signal(number)

    with pytest.raises(lava.LavaError, match="the guardian"):
        lava.run(_network(), _inputs(LONG), "fused", progress=kill)
    assert family.soon(lambda: not any(segment.exists() for segment in seen))


@needs_lava
@pytest.mark.parametrize("size", ["16k", "160k"], ids=["for semaphores", "for messages"])
def test_shared_memory_that_is_full_is_an_error_and_not_a_hang(family, size):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("no right to make a mount namespace")
    mount = f'mount -t tmpfs -o size={size} none /dev/shm && exec "$@"'
    start = time.monotonic()
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "sh", sys.executable, "-c", SCRIPT % (9999, 10)],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert time.monotonic() - start < 15
    assert "LavaError" in done.stderr
    assert "make room in /dev/shm" in done.stderr


@needs_lava
def test_progress_counts_to_the_end(family):
    calls = []
    lava.run(_network(), _inputs(), "stock", progress=lambda *call: calls.append(call))
    assert calls[-1] == (4, 4)


@needs_lava
def test_a_temporary_folder_with_a_long_name_does_no_harm(family, monkeypatch):
    folder = family.folder / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert lava.run(_network(), _inputs(), "fused").spikes["out"].any()


@needs_lava
def test_a_disk_that_is_full_is_an_error(family):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(lava.LavaError, match="files cannot be written") as error:
            lava.run(_network(), _inputs(1000), "fused")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error.value.exit_code == 1


def test_without_lava_the_error_says_which_python_to_use():
    script = """
import sys
import numpy as np

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "lava":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from snn_export import lava
from snn_export.network import LIF, Connection, Dense, InputPort, Layer, SpikingNetwork

one = np.ones(1, np.int32)
layer = Layer("out", (1,), (Connection("in", Dense(np.ones((1, 1), np.int8))),), LIF(one, one))
network = SpikingNetwork((InputPort("in", (1,), 1),), (layer,))
try:
    lava.run(network, {"in": np.ones((1, 1, 1), np.int8)}, "fused")
except lava.LavaError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "Lava (lava-nc 0.10.0) is not installed in this Python" in done.stdout
    assert "Python 3.10" in done.stdout
    assert "pip install" in done.stdout


def test_the_backend_is_imported_without_importing_lava():
    script = "import sys, snn_export.lava; sys.exit(any(m.split('.')[0] == 'lava' for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def _skip_over_a_layer():
    network = _network()
    weight = np.ones((2, 2, 1, 1), np.int8)
    middle = replace(network.layers[0], name="middle", connections=(Connection("out", Conv2d(weight)),))
    both = tuple(Connection(name, Conv2d(weight)) for name in ("out", "middle"))
    return SpikingNetwork(network.inputs, (*network.layers, middle, replace(middle, name="end", connections=both)))


def _many_pools():
    layer = replace(_network().layers[0], shape=(128, 2, 2), connections=(Connection("in", SumPool2d((2, 2), (2, 2))),))
    return SpikingNetwork((InputPort("in", (128, 4, 4), 8),), (layer,))


def _wide_stride():
    synapse = Conv2d(np.ones((2, 1, 3, 3), np.int8), stride=(1, 128), padding=(1, 1))
    layer = replace(_network().layers[0], shape=(2, 4, 1), connections=(Connection("in", synapse),))
    return SpikingNetwork(_network().inputs, (layer,))


@pytest.mark.parametrize(
    ("network", "place", "reason"),
    [
        (_network(reset=Reset.SOFT), "$.layers[out].neuron.reset", "'soft'; a stock LIF resets to zero"),
        (_network(reset=Reset.NONE), "$.layers[out].neuron.reset", "'none'; a stock LIF resets to zero"),
        (_network(keep=np.array([1, 2], np.int32)), "$.layers[out].neuron.keep", "differs between channels"),
        (_network(vth=np.array([1, 2], np.int32)), "$.layers[out].neuron.vth", "differs between channels"),
        (_network(bias=np.array([1], np.int32)), "$.layers[out].neuron.bias", "carries no bias"),
        (_network(ukeep=4096), "$.layers[out].neuron.ukeep", "lets the current reach 2^23"),
        (_network(ukeep=4060), "$.layers[out].neuron.ukeep", "lets the current reach 2^23"),
        (_skip_over_a_layer(), "$.layers[end]", "after different numbers of layers"),
        (_many_pools(), "$.layers[out].connections[0].synapse", "128 leaves the 127"),
        (_wide_stride(), "$.layers[out].connections[0].synapse", "128 leaves the 127"),
    ],
)
def test_the_stock_lowering_refuses_what_it_cannot_say(network, place, reason):
    (found,) = lava.check(network, "stock")
    assert found.startswith(f"{place}: ")
    assert reason in found
    assert lava.check(network, "fused") == ()
    with pytest.raises(lava.LavaError, match="use the fused lowering") as error:
        lava.run(network, {port.name: np.zeros((1, 1, *port.shape), np.int16) for port in network.inputs}, "stock")
    assert error.value.exit_code == 2


def test_all_reasons_are_collected():
    network = _network(reset=Reset.SOFT, keep=np.array([1, 2], np.int32), bias=np.array([1], np.int32))
    assert len(lava.check(network, "stock")) == 3


@pytest.mark.parametrize(
    "neuron",
    [
        {"keep": np.array([7, 7], np.int32), "vth": np.array([9, 9], np.int32)},
        {"readout": True, "reset": Reset.SOFT, "vth": np.array([1, 2], np.int32)},
        {"ukeep": 2000},
    ],
)
def test_the_stock_lowering_takes_constants_that_only_look_different(neuron):
    assert lava.check(_network(**neuron), "stock") == ()


def test_an_unknown_lowering_is_named():
    with pytest.raises(ValueError, match="no lowering is named 'loihi'"):
        lava.check(_network(), "loihi")


def test_a_dense_layer_joins_streams_of_different_length_in_stock_lava():
    network = _network()
    first, port = network.layers[0], InputPort("other", (3,), 1)
    end = Layer(
        "end", (2,), (Connection("out", Dense(np.ones((2, 32), np.int8))),
                      Connection("other", Dense(np.ones((2, 3), np.int8)))), first.neuron,
    )  # fmt: skip
    assert lava.check(SpikingNetwork((*network.inputs, port), (first, end)), "stock") == ()
