"""Models written by users of other libraries, unchanged: the chip's part, the host's part, and both together."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, fx

from hwsim import engine
from hybrid.bundle import load_bundle
from hybrid.graph import trace
from hybrid.partition.extract import chip_network, feed_module, host_module
from hybrid.user.boundary import as_result, port_values
from snn_export import reference
from snn_export.compare import first_difference


def dyadic(model):
    """Every weight a multiple of 1/64, so that float32 and float64 agree to the last bit."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((parameter * 64).round() / 64)
    return model


def values_of(graph, *inputs) -> dict[str, Tensor]:
    """What every op gives when the model's own cells run it."""
    found = {}

    class Keep(fx.Interpreter):
        def run_node(self, n):
            found[graph.names[n]] = super().run_node(n)
            return found[graph.names[n]]

    with torch.no_grad():
        Keep(graph.module).run(*inputs)
    return found


@pytest.fixture
def case(example):
    model = dyadic(example.build()) if example.name != "own_model" else example.build()
    x = example.inputs(3)
    graph = trace(model, (x,), batch_axes=(example.batch_axis,), feeds=True)
    return model, x, graph, [name for name, op in graph.ops.items() if op.spiking]


def float_run(graph, network, x):
    ports = {port.name: values_of(graph, x)[port.name].double().numpy() for port in network.inputs}
    return reference.run(network, ports)


def test_the_float_network_equals_the_librarys_own_forward(case):
    _, x, graph, on_chip = case
    network = chip_network(graph, on_chip)
    recording, own = float_run(graph, network, x), values_of(graph, x)
    for name in on_chip:
        found = as_result(network, recording, name, graph.ops[name].shape, 0)
        if graph.ops[name].emits_spikes:
            assert torch.equal(found, own[name]), name
            assert 0.01 < found.mean() < 0.9
        else:
            assert (found - own[name]).abs().max() <= 1e-5 * own[name].abs().max()


def test_the_host_with_the_float_chip_part_equals_the_model(case):
    model, x, graph, on_chip = case
    network = chip_network(graph, on_chip)
    recording = float_run(graph, network, x)
    module, names = host_module(graph, on_chip)
    given = [as_result(network, recording, name, graph.ops[name].shape, 0) for name in names]
    with torch.no_grad():
        assert torch.allclose(module(*given), model(x), rtol=0, atol=1e-5)


def test_what_the_host_feeds_the_chip_is_what_the_traced_program_has(case):
    _, x, graph, on_chip = case
    fed = [port.name for port in chip_network(graph, on_chip).inputs if graph.ops[port.name].kind != "input"]
    assert bool(fed) == (x.shape[0] == 7)  # the model that takes time first
    if fed:
        module, names = feed_module(graph, fed)
        assert names == ("x",)
        assert torch.equal(module(x)[0], x.movedim(1, 0))


def test_partition_compile_and_run_end_to_end(example, hybrid, tmp_path):
    weights = tmp_path / "weights.safetensors"
    model = example.build()
    save_file(model.state_dict(), weights)
    np.savez(tmp_path / "in.npz", **{example.argument: example.inputs(4, seed=5).numpy()})
    given = (f"{example.name}:build", "--weights", weights, "--input-shape", example.shape, "--pin", "*")
    code, out, err = hybrid("partition", *given, "--json")
    assert code == 0, err
    plan = json.loads(out)
    assert sum(op["target"] == "chip" for op in plan["ops"]) in (2, 3)
    code, _, err = hybrid("compile", *given, "--out", tmp_path / "bundle", "--calibrate", tmp_path / "in.npz")
    assert code == 0, err
    code, out, err = hybrid(
        "run", tmp_path / "bundle", tmp_path / "in.npz", "--out", tmp_path / "out", "--check", "reference", "--json"
    )
    assert code == 0, err
    assert json.loads(out)["exact"] is True
    assert json.loads(out)["samples"] == 4
    with np.load(tmp_path / "out" / "outputs.npz") as archive, torch.no_grad():
        found, wanted = archive["output0"], model(example.inputs(4, seed=5)).numpy()
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 0.5 * np.abs(wanted).max()  # int8 weights
    bundle = load_bundle(tmp_path / "bundle")
    inputs = port_values(bundle.network, bundle.manifest.model, bundle.feed, {example.argument: example.inputs(2, 9)})
    truth = reference.run(bundle.network, inputs)
    assert first_difference(bundle.network, truth, engine.run(bundle.network, inputs).recording) is None
    code, out, err = hybrid("inspect", tmp_path / "bundle")
    assert code == 0, err
    assert example.name in out
    if not bundle.feed:
        np.savez(tmp_path / "spikes.npz", **inputs)
        code, _, err = hybrid("simulate", tmp_path / "bundle", "--spikes", tmp_path / "spikes.npz")
        assert code == 0, err


def test_compiling_twice_gives_the_same_bytes(norse_example, hybrid, tmp_path):
    for name in ("a", "b"):
        given = ("norse_model:build", "--input-shape", norse_example.shape, "--pin", "*", "--out", tmp_path / name)
        code, _, err = hybrid("compile", *given)
        assert code == 0, err
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
