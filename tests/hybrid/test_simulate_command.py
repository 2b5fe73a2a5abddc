"""`hybrid simulate` end to end: every format, every kind of bad input."""

from __future__ import annotations

import importlib.util
import json
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from hwsim import engine
from hwsim.chip import load
from hwsim.mapping import map_network
from snn_export import files, formats, netx, nir
from snn_export.network import LIF, Arithmetic, Connection, Conv2d, Dense, InputPort, Layer, Reset, SpikingNetwork

STEPS = 6


@pytest.fixture(scope="module")
def network():
    """A convolution and a dense read-out that adds up for ever, of spikes [2, 6, 6]."""
    rng = np.random.default_rng(0)
    conv = Conv2d(rng.integers(-9, 20, (3, 2, 3, 3), dtype=np.int8), padding=(1, 1))
    dense = Dense(2 * rng.integers(-60, 60, (4, 108), dtype=np.int8))
    fire, out = LIF(*np.array([[3000], [12]], np.int32)), LIF(*np.array([[0], [0]], np.int32), Reset.NONE, True, 4096)
    layers = Layer("a", (3, 6, 6), (Connection("in", conv),), fire), Layer("b", (4,), (Connection("a", dense),), out)
    return SpikingNetwork((InputPort("in", (2, 6, 6), 1),), layers)


@pytest.fixture(scope="module")
def written(network, tmp_path_factory):
    """The network in every format, and two files of spikes, in one folder."""
    folder = tmp_path_factory.mktemp("simulate")
    files.write(network, folder)
    nir.write(network, folder / "a.nir")
    netx.write(network, folder / "a.net")
    spikes = (np.random.default_rng(1).random((2, STEPS, 2, 6, 6)) < 0.3).astype(np.float32)
    np.savez(folder / "spikes.npz", **{"in": spikes})
    save_file({"in": spikes[0]}, folder / "one.safetensors")
    return folder


@pytest.mark.parametrize("name", [".", "spiking.json", "a.nir", "a.net"])
def test_counts_are_those_of_the_engine_whatever_the_format(hybrid, written, network, name):
    code, out, err = hybrid(
        "simulate", written / name, "--chip", "loihi1", "--steps", STEPS, "--spikes", written / "spikes.npz", "--json"
    )
    assert code == 0, err
    found = json.loads(out)
    inputs = {"in": np.load(written / "spikes.npz")["in"].astype(np.int16)}
    connections = len(formats.load(written / name).layers[1].connections)
    counts = engine.run(network, inputs, map_network(network, load("loihi1"))).counts
    assert (found["gops"], found["steps"]) == (2, STEPS)
    for event, total in found["totals"].items():
        assert total == getattr(counts, event).sum() > 0 or event in ("macs", "hops")
    assert [row["synops"] for row in found["cores"]] == counts.synops.sum((0, 1)).tolist()
    assert [row["spikes"] for row in found["by_step"]] == counts.spikes.sum(2).ravel().tolist()
    operations = found["neurobench"]["synaptic_operations"]
    assert operations["effective_acs"] == counts.acs.sum() / 2
    assert operations["dense"] == counts.synops_dense.sum() / 2
    assert found["neurobench"]["footprint"] == 3 * 18 + connections * 4 * 108 + 2 * 4 * 4
    assert found["energy_j"]["low"] <= found["energy_j"]["nominal"] <= found["energy_j"]["high"]
    assert all(row["quantity"]["source"] for row in found["constants"])


def test_the_tables_name_layers_cores_steps_and_where_the_input_came_from(hybrid, written):
    code, out, err = hybrid("simulate", written, "--steps", "30", "--rate", "0.2", "--seed", "7")
    assert code == 0, err
    assert "random input: rate 0.2, seed 7" in out
    assert "and 6 more; --json has all" in out
    assert "0 (a)" in out
    assert "synaptic operations" in out
    assert "connection sparsity" in out
    assert "slowest core or link" in out
    assert "none is better" in out
    assert not err
    again = hybrid("simulate", written, "--steps", "30", "--rate", "0.2", "--seed", "7")
    assert again[1] == out
    other = hybrid("simulate", written, "--steps", "30", "--rate", "0.2", "--seed", "8")
    assert other[1] != out


def test_a_safetensors_file_of_one_gop_is_read_and_gives_the_steps(hybrid, written):
    code, out, err = hybrid("simulate", written, "--spikes", written / "one.safetensors", "--json")
    assert code == 0, err
    assert (json.loads(out)["gops"], json.loads(out)["steps"]) == (1, STEPS)


def test_a_float_nir_graph_of_another_tool_is_quantised_and_its_input_calibrated(hybrid, tmp_path):
    weight = np.array([[0.5, -0.2, 0.1], [0.3, 0.9, -0.4]], np.float32)
    neuron = LIF(np.array([0.9]), np.array([0.4]), bias=np.zeros(1))
    layer = Layer("a", (2,), (Connection("in", Dense(weight)),), neuron)
    network = SpikingNetwork((InputPort("in", (3,), 1),), (layer,), Arithmetic.FLOAT)
    graph = nir.to_graph(network)
    graph.metadata.clear()
    importlib.import_module("nir").write(tmp_path / "float.nir", graph)
    np.savez(tmp_path / "real.npz", **{name: np.linspace(-1, 1, 15).reshape(5, 3) for name in _ports(tmp_path)})
    code, out, err = hybrid("simulate", tmp_path / "float.nir", "--spikes", tmp_path / "real.npz", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert "quantised" in found["notes"][1]
    assert "calibrated to 8 bits" in found["notes"][2]
    assert found["totals"]["macs"] == found["totals"]["synops"] > 0
    code, out, err = hybrid("simulate", tmp_path / "float.nir", "--steps", "4", "--bits", "1", "--json")
    assert code == 0, err
    assert json.loads(out)["totals"]["macs"] == 0


def _ports(folder: Path) -> list[str]:
    return [port.name for port in formats.load(folder / "float.nir").inputs]


def test_a_file_of_lava_dl_runs_as_it_is(hybrid):
    try:
        spec = importlib.util.find_spec("lava.lib.dl.netx")
    except ModuleNotFoundError:
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("lava-dl is not installed")
    site = Path(next(iter(spec.submodule_search_locations))).parents[3]
    code, out, err = hybrid("simulate", site / "tests/lava/lib/dl/netx/tiny.net", "--steps", "3", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["totals"]["synops"] > 0
    assert sum(row["neurons"] for row in found["cores"]) == sum(row["neurons"] for row in found["layers"])


def test_clipped_potentials_and_wrapped_currents_are_warned_of_and_strict_fails(hybrid, tmp_path):
    neuron = LIF(*np.array([[0], [9]], np.int32), Reset.NONE, True, 4096)
    layer = Layer("sum[/x]", (1,), (Connection("in", Dense(np.array([[127]], np.int8))),), neuron)
    files.write(SpikingNetwork((InputPort("in", (1,), 11),), (layer,)), tmp_path)
    np.savez(tmp_path / "a.npz", **{"in": np.full((5, 1), 1000)})
    given = ("simulate", tmp_path, "--spikes", tmp_path / "a.npz")
    code, out, err = hybrid(*given)
    assert code == 0
    assert "│ sum[/x] │" in out
    assert "layer 'sum[/x]': 4 potentials were clipped" in err
    assert "4 synaptic currents left 24 bits" in err
    code, out, err = hybrid(*given, "--strict", "--json")
    assert code == 1
    assert "4 synaptic currents" in err
    assert [(row["saturations"], row["wraps"]) for row in json.loads(out)["layers"]] == [(4, 4)]
    np.savez(tmp_path / "a.npz", **{"in": np.full((5, 1), 10)})
    code, out, err = hybrid(*given, "--strict")
    assert (code, err) == (0, "")


def test_bad_input_gives_one_clear_message_and_its_exit_code(hybrid, written, tmp_path):
    net = shutil.copytree(written, tmp_path / "net")
    np.savez(tmp_path / "shape.npz", **{"in": np.zeros((STEPS, 2, 6, 5))})
    np.savez(tmp_path / "name.npz", x=np.zeros((STEPS, 2, 6, 6)))
    (tmp_path / "notes.txt").write_text("no network")
    chip = (resources.files("hwsim") / "chips" / "loihi2.toml").read_text()
    (tmp_path / "less.toml").write_text(chip.replace("[costs.energy_hop_ew]", "[costs.energy_hop_up]"))
    (tmp_path / "negative.toml").write_text(chip.replace("nominal = 81.0", "nominal = -81.0"))
    small = chip.replace("synapse_memory_bytes = 131072", "synapse_memory_bytes = 100")
    (tmp_path / "small.toml").write_text(small)
    spikes, before = written / "spikes.npz", sorted(tmp_path.rglob("*"))
    line = chip.splitlines().index("nominal = 81.0") + 1
    for arguments, exit_code, *parts in (
        (("absent.net", "--steps", 1), 2, "cannot be read", "netx"),
        ((tmp_path / "notes.txt", "--steps", 1), 2, "does not begin as an HDF5 file"),
        ((net,), 2, "--steps", "--spikes"),
        ((net, "--spikes", "absent.npz"), 2, "absent.npz", "No such file"),
        ((net, "--spikes", tmp_path / "notes.txt"), 2, "not a file of arrays", ".npz"),
        ((net, "--spikes", tmp_path / "shape.npz"), 2, "[6, 2, 6, 5]", "[steps, 2, 6, 6]"),
        ((net, "--spikes", tmp_path / "name.npz"), 2, "['x']", "'in' [2, 6, 6]"),
        ((net, "--spikes", spikes, "--steps", 7), 2, "6 steps", "--steps says 7"),
        ((net, "--steps", 1, "--chip", "loihi3"), 2, "loihi3", "did you mean"),
        ((net, "--steps", 1, "--chip", tmp_path / "less.toml"), 2, "energy_hop_ew", "less.toml, line", "add the key"),
        ((net, "--steps", 1, "--chip", tmp_path / "negative.toml"), 2, f"negative.toml, line {line}:", "greater than"),
        ((net, "--steps", 1, "--chip", tmp_path / "small.toml"), 3, "'b'", "108 bytes", "8 too few", "100 input"),
        ((net, "--steps", 1, "--reset", "hard"), 2, "'hard'", "soft"),
        ((net, "--steps", 1, "--input-shape", "2x6x6"), 2, "2x6x6", "2,34,34"),
    ):
        code, out, err = hybrid("simulate", *arguments)
        assert code == exit_code, (arguments, err)
        assert all(part in err for part in parts), (arguments, err)
        assert "Traceback" not in err
        assert not out
    for option in (("--steps", 0), ("--rate", 2), ("--bits", 17), ("--seed", -1)):
        assert hybrid("simulate", net, *option)[0] == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_users_own_chip_works_as_the_shipped_one_does(hybrid, written, tmp_path):
    text = (resources.files("hwsim") / "chips" / "loihi2.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('name = "loihi2"', 'name = "mine"'))
    found = []
    for chip in ("loihi2", tmp_path / "mine.toml"):
        code, out, err = hybrid("simulate", written, "--steps", 3, "--chip", chip, "--json")
        assert code == 0, err
        found.append(json.loads(out))
    assert found[1].pop("chip") == "mine"
    assert found[0].pop("chip") == "loihi2"
    assert found[0] == found[1]


def test_links_that_steps_wait_for_are_shown_and_so_is_a_placement_that_could_be_better(hybrid, tmp_path):
    # 12 populations of 64 neurons, each neuron reads one of each of the four before: little work, many packets
    fire, layers = LIF(*np.array([[0], [0]], np.int32)), []
    for i in range(12):
        sources = ["in"] + [f"n{k}" for k in range(max(0, i - 4), i)]
        connections = tuple(Connection(source, Dense(np.eye(64, dtype=np.int8))) for source in sources)
        layers.append(Layer(f"n{i}", (64,), connections, fire))
    files.write(SpikingNetwork((InputPort("in", (64,), 1),), tuple(layers)), tmp_path)
    text = (resources.files("hwsim") / "chips" / "loihi2.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace("cores_per_tile = 4", "cores_per_tile = 1"))
    given = ("simulate", tmp_path, "--steps", 3, "--rate", 1, "--chip", tmp_path / "mine.toml")
    code, out, err = hybrid(*given)
    assert code == 0, err
    assert "│ link " in out
    assert "hottest links" in out
    assert "times the optimum" in out
    found = json.loads(hybrid(*given, "--json")[1])
    waited = [row["critical_link"] for row in found["by_step"]]
    assert any(link is not None for link in waited)
    assert sum(row["critical_steps"] for row in found["links"]) == sum(link is not None for link in waited)
    assert found["placement"]["how"] == "lower bound"
    assert found["placement"]["slowest"] >= found["placement"]["slowest_bound"] > 0
