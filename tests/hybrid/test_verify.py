"""Verification: a bundle as it was compiled passes; whatever is changed is named, and nothing hostile gets through."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybrid import exports, parity
from hybrid.bundle import load_bundle
from hybrid.verify import verify
from snn_export import files, lava, netx, nir, reference
from snn_export.network import Conv2d, SpikingNetwork

IN_ONE_FOLDER = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTILE = [0, -1, 10**18, 10**40, 1e308, float("nan"), None, True, "", "../x", "x=exit()", [], {}, [[1]]]


@pytest.fixture
def copy(bundle_dir, tmp_path):
    return shutil.copytree(bundle_dir, tmp_path / "copy")


def failed(found):
    return [check for check in found.checks if not check.ok]


def changed_weight(network: SpikingNetwork) -> SpikingNetwork:
    """The network with one weight of its first layer more than a little off."""
    first = network.layers[0]
    connection = first.connections[0]
    assert isinstance(connection.synapse, Conv2d)
    weight = connection.synapse.weight.copy()
    weight.flat[0] = 100 if weight.flat[0] < 50 else -100
    connection = replace(connection, synapse=replace(connection.synapse, weight=weight))
    return replace(network, layers=(replace(first, connections=(connection,)), *network.layers[1:]))


def test_a_bundle_as_compiled_passes_every_check(bundle_dir, bundle):
    found = verify(bundle_dir, gops=2)
    assert found.exit_code == 0
    assert not found.left_out
    names = {check.name for check in found.checks}
    assert names == {"manifest.json", *bundle.manifest.files, "contents", "reference", "hwsim"}
    assert {check.what for check in found.checks if check.name == "hwsim"} == {"2 GOPs of 8 steps, bit for bit"}


def test_the_kept_inputs_make_neurons_of_every_spiking_layer_fire(bundle_dir, bundle):
    inputs = parity.loads(bundle.network, (bundle_dir / parity.FILE).read_bytes())
    recording = reference.run(bundle.network, inputs)
    for layer in bundle.network.layers:
        assert layer.neuron.readout or 0.02 < recording.spikes[layer.name].mean() < 0.9
        assert np.unique(recording.potentials[layer.name]).size > 10


def test_further_inputs_are_other_ones_and_the_kept_ones_come_first(bundle_dir, bundle):
    kept = parity.loads(bundle.network, (bundle_dir / parity.FILE).read_bytes())
    three = parity.more(bundle.network, kept, bundle.manifest.replay, 3)
    for name, values in three.items():
        assert np.array_equal(values[:1], kept[name])
        assert all((values[i] != values[j]).any() for i, j in ((0, 1), (1, 2), (0, 2)))


@IN_ONE_FOLDER
@given(data=st.data())
def test_flipped_bytes_and_cut_off_files_are_always_named(hybrid, bundle_dir, tmp_path, data):
    copy = shutil.copytree(bundle_dir, tmp_path / "copy", dirs_exist_ok=True)
    name = data.draw(st.sampled_from(sorted(path.name for path in bundle_dir.iterdir())))
    content = bytearray((bundle_dir / name).read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for place in data.draw(st.sets(st.integers(0, len(content) - 1), min_size=1, max_size=5)):
            content[place] ^= data.draw(st.integers(1, 255))
    (copy / name).write_bytes(content)
    code, _, err = hybrid("verify", copy)
    assert code in (2, 4)
    assert name in err
    assert "this is a bug" not in err
    assert "Traceback" not in err


def places(data, path=()):
    """The path of every value in a JSON file."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@settings(IN_ONE_FOLDER, max_examples=12)
@given(data=st.data())
def test_hostile_values_under_right_checksums_end_in_a_verdict(bundle_dir, tmp_path, seal, data):
    copy = shutil.copytree(bundle_dir, tmp_path / "copy", dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["manifest.json", "mapping.json", "spiking.json", "ann.json"]))
    content = json.loads((copy / name).read_text())
    *path, last = data.draw(st.sampled_from(list(places(content))))
    inner = content
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(st.sampled_from(HOSTILE))
    (copy / name).write_text(json.dumps(content))
    seal(copy, *([] if name == "manifest.json" else [name]))
    found = verify(copy)
    assert found.exit_code in (0, 2, 4)
    assert all(name in check.where for check in failed(found) if check.name == "contents")


def test_another_network_under_right_checksums_is_found_where_it_first_differs(copy, bundle, seal):
    files.write(changed_weight(bundle.network), copy)
    seal(copy, files.STRUCTURE, files.ARRAYS)
    found = verify(copy)
    assert found.exit_code == 4
    (check,) = failed(found)
    assert check.name == "reference"
    assert repr(bundle.network.layers[0].name) in check.detail
    assert "hwsim" in found.left_out


def test_an_export_of_another_network_is_found_by_layer_step_and_place(copy, bundle, seal):
    other = changed_weight(bundle.network)
    (copy / exports.NIR).write_bytes(nir.dumps(other))
    (copy / "netx-motion.net").write_bytes(netx.dumps(netx.streams(other)["motion"]))
    seal(copy, exports.NIR, "netx-motion.net")
    found = verify(copy)
    assert found.exit_code == 4
    assert {check.name for check in failed(found)} == {exports.NIR, "netx-motion.net"}
    for check in failed(found):
        assert f"layer {other.layers[0].name!r}, GOP 0, step " in check.detail
        assert "place (" in check.detail
        assert check.name in check.where


def test_two_files_that_were_exchanged_are_both_named(copy):
    (copy / "netx-motion.net").rename(copy / "x")
    (copy / "netx-residual.net").rename(copy / "netx-motion.net")
    (copy / "x").rename(copy / "netx-residual.net")
    found = verify(copy)
    assert found.exit_code == 4
    assert [check.name for check in failed(found)] == ["netx-motion.net", "netx-residual.net"]


@pytest.mark.parametrize("name", ["ann.json", "mapping.json", "manifest.sha256"])
def test_a_half_written_bundle_ends_with_2(copy, name):
    (copy / name).unlink()
    found = verify(copy)
    assert found.exit_code == 2
    assert name in failed(found)[0].where


def test_a_link_out_of_the_folder_is_not_followed(copy, bundle_dir):
    (copy / "ann.json").unlink()
    (copy / "ann.json").symlink_to(bundle_dir / "ann.json")
    found = verify(copy)
    assert found.exit_code == 2
    assert "link" in failed(found)[0].detail


def test_a_file_of_enormous_size_is_refused_unread(copy):
    os.truncate(copy / "ann.safetensors", 2**40)
    assert "1,099,511,627,776 bytes" in failed(verify(copy))[0].detail
    os.truncate(copy / "ann.safetensors", 0)
    os.truncate(copy / "manifest.json", 2**40)
    found = verify(copy)
    assert found.exit_code == 2
    assert "manifest.json" in found.checks[0].where


def test_a_file_that_was_added_is_named(copy):
    (copy / "install.sh").write_text("")
    (copy / ".DS_Store").write_text("")
    found = verify(copy)
    assert found.exit_code == 4
    assert [check.name for check in failed(found)] == ["install.sh"]


def test_cores_that_are_not_on_the_chip_are_refused(copy, seal):
    for key, value in (("x", 1000), ("slot", 10**30), ("chip", -1)):
        content = json.loads((copy / "mapping.json").read_text())
        content["cores"][0][key] = value
        (copy / "mapping.json").write_text(json.dumps(content))
        seal(copy, "mapping.json")
        (check,) = failed(verify(copy))
        assert check.exit_code == 2
        assert "mapping.json" in check.where


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused(copy, seal, number):
    path = copy / "manifest.json"
    plan = json.loads(path.read_text())["plan"]
    old = f'"predicted_j_per_gop": {plan["predicted_j_per_gop"]}'
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, f'"predicted_j_per_gop": {number}'))
    seal(copy)
    (check,) = failed(verify(copy))
    assert check.exit_code == 2
    assert "not finite" in check.detail


def test_verify_prints_a_table_or_json_and_names_an_unknown_backend(hybrid, bundle_dir, copy):
    code, out, err = hybrid("verify", bundle_dir)
    assert code == 0, err
    assert "failed" not in out
    (copy / "mapping.json").write_text("{}")
    code, out, err = hybrid("verify", copy, "--json")
    found = json.loads(out)
    assert code == 4
    assert found["ok"] is False
    assert [x["name"] for x in found["checks"] if not x["ok"]] == ["mapping.json"]
    assert found["left_out"] == ["contents", "parity"]
    assert str(copy / "mapping.json") in err
    code, _, err = hybrid("verify", bundle_dir, "--backend", "brian")
    assert code == 2
    assert "lava-fused" in err
    code, _, err = hybrid("verify", bundle_dir.parent)
    assert code == 2
    assert "no bundle" in err


def test_a_missing_library_ends_with_5_and_a_difference_counts_more(hybrid, copy, monkeypatch):
    monkeypatch.setattr("snn_export.lava.runner.available", lambda lowering: "Lava is not installed; install it")
    code, _, err = hybrid("verify", copy, "--backend", "lava-fused")
    assert code == 5
    assert "not installed" in err
    (copy / "more").write_text("")
    assert verify(copy, backends=("lava-fused",)).exit_code == 4


@pytest.mark.skipif(lava.available() is not None, reason=str(lava.available()))
def test_lava_is_compared_when_asked_for(bundle_dir):
    found = verify(bundle_dir, backends=("lava-fused",))
    assert found.exit_code == 0
    assert found.checks[-1].name == "lava-fused"


def test_a_users_bundle_passes_too(hybrid, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(os.path.join(os.path.dirname(__file__), os.pardir, "models"))
    code, _, err = hybrid(
        "compile", "norse_model:build", "--input-shape", "7,2,16,16", "--pin", "*", "--out", tmp_path / "b"
    )
    assert code == 0, err
    assert verify(tmp_path / "b").exit_code == 0
    code, out, err = hybrid("inspect", tmp_path / "b")
    assert code == 0, err
    assert "of the chip's results differed" in out
    assert load_bundle(tmp_path / "b").manifest.replay.gops == 1
