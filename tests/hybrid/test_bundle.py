"""Bundles: the same bytes for the same input, and no changed, missing or foreign file gets through."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from hybrid.bundle import CONTENTS, SEAL, load_bundle
from hybrid.errors import BadInputError, VerificationError
from hybrid.exports import export
from hybrid.model.inputs import INPUT_NAMES, to_tensors
from snn_export import files
from snn_export.formats import load
from snn_export.network import LIF, Connection, Dense, InputPort, Layer, Reset, SpikingNetwork


@pytest.fixture
def copy(bundle_dir, tmp_path):
    return shutil.copytree(bundle_dir, tmp_path / "copy")


def test_compiling_twice_gives_the_same_bytes(compiled, bundle_dir, tmp_path):
    again = compiled(tmp_path / "again")
    names, manifest = {path.name for path in bundle_dir.iterdir()}, load_bundle(bundle_dir).manifest
    assert names == {*CONTENTS, *manifest.files, "manifest.json", SEAL}
    for name in names:
        assert (again / name).read_bytes() == (bundle_dir / name).read_bytes(), name


def test_the_bundled_ann_program_equals_the_models_own_ann_part(bundle, tiny, clip_views):
    iframe, motion, residual = to_tensors(clip_views, tiny.config.input)
    with torch.no_grad():
        potentials = {"stm_motion.2": tiny.stm_motion(motion), "stm_residual.2": tiny.stm_residual(residual)}
        values = {"iframe": iframe, **potentials}
        found = bundle.ann(*(values[name] for name in bundle.manifest.host_inputs))
        assert torch.equal(found, tiny(iframe, motion, residual))
    assert set(INPUT_NAMES) & set(bundle.manifest.host_inputs) == {"iframe"}


def test_a_bundle_carries_its_spiking_part_for_other_tools(bundle_dir, bundle):
    network = files.dumps(bundle.network)
    assert files.dumps(load(bundle_dir / "spiking.nir")) == network
    assert files.dumps(load(bundle_dir)) == network
    netx = {name: note for name, note in bundle.manifest.exports.items() if name.endswith(".net")}
    assert set(netx) == {"netx-motion.net", "netx-residual.net"}
    for name, note in netx.items():
        assert ("not written: $.layers" in note) != (bundle_dir / name).exists()


def test_a_stream_that_netx_can_say_is_written_and_one_that_it_cannot_has_its_reason():
    def stream(name, reset):
        lif = LIF(np.array([4000], np.int32), np.array([9], np.int32), reset)
        layer = Layer(f"{name}0", (1,), (Connection(name, Dense(np.array([[3, -2]], np.int8))),), lif)
        return InputPort(name, (2,), 4), layer

    (first, one), (second, two) = stream("motion", Reset.ZERO), stream("residual", Reset.SOFT)
    contents, notes = export(SpikingNetwork((first, second), (one, two)))
    assert set(contents) == {"spiking.nir", "netx-motion.net"}
    assert notes["netx-motion.net"] == ""
    assert "$.layers[residual0].neuron.reset" in notes["netx-residual.net"]
    assert "residual0" in notes["spiking.nir"]
    assert set(export(SpikingNetwork((first,), (one,)))[0]) == {"spiking.nir", "netx.net"}


def test_an_older_bundle_is_replaced_and_nothing_is_left_beside_it(compiled, copy):
    compiled(copy)
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    load_bundle(copy)


def test_a_folder_that_is_no_bundle_is_not_overwritten(compiled, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInputError, match=r"holds no manifest\.json"):
        compiled(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", CONTENTS)
def test_a_changed_file_is_found_by_its_checksum(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(VerificationError) as error:
        load_bundle(copy)
    assert name in error.value.where


def test_a_missing_file_is_named(copy):
    (copy / "mapping.json").unlink()
    with pytest.raises(BadInputError) as error:
        load_bundle(copy)
    assert "mapping.json" in error.value.where


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m | {"schema_version": 99}, "schema version 99"),
        (lambda m: m | {"extra": 1}, "Extra inputs"),
        (lambda m: {k: v for k, v in m.items() if k != "chip"}, "Field required"),
        (lambda m: m | {"files": m["files"] | {"../x": m["files"]["ann.json"]}}, "no file of a bundle"),
        (lambda m: m | {"files": {k: v for k, v in m["files"].items() if k != "ann.json"}}, "does not list ann.json"),
        (lambda m: [m], "schema version None"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(copy, seal, change, what):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(change(manifest)))
    seal(copy)
    with pytest.raises(BadInputError, match=what) as error:
        load_bundle(copy)
    assert "manifest.json" in error.value.where


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(BadInputError, match="no bundle"):
        load_bundle(tmp_path)
