"""What two bundles are said to differ in is what differs, and nothing is overlooked."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from hybrid.bundle import load_bundle
from hybrid.diff import compare_networks, differences


@pytest.fixture(scope="module")
def other_dir(compiled, tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("other") / "loihi1", chip="loihi1")


def changed_manifest(copy, seal, change):
    manifest = json.loads((copy / "manifest.json").read_text())
    change(manifest)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    seal(copy)
    return load_bundle(copy)


def test_equal_bundles_have_no_difference(bundle, bundle_dir, tmp_path):
    copy = shutil.copytree(bundle_dir, tmp_path / "copy")
    assert differences(bundle, load_bundle(copy), (bundle_dir, copy)) == ()


def test_another_chip_shows_in_constants_mapping_and_checksums_only_where_it_matters(bundle, bundle_dir, other_dir):
    other = load_bundle(other_dir)
    found = {(x.section, x.key): (x.left, x.right) for x in differences(bundle, other, (bundle_dir, other_dir))}
    assert found["chip", "name"] == ("loihi2", "loihi1")
    assert found["chip", "core.neurons"] == (8192, 1024)
    assert found["chip", "costs.power_static"] == ("0.255 W (0.23 to 0.28)", "104 mW (104 to 104)")
    assert found["mapping", "cores"] == (len(bundle.mapping.cores), len(other.mapping.cores))
    assert {key for section, key in found if section == "checksums"} == {"manifest.json", "mapping.json"}
    assert not {"model", "quantisation", "ANN", "host", "link", "versions"} & {section for section, _ in found}


@pytest.mark.parametrize(
    ("section", "key", "change", "values"),
    [
        ("plan", "stm_motion.0", lambda m: _op(m, "stm_motion.0").update(target="host"), ("chip", "host")),
        ("predicted", "predicted_j_per_gop", lambda m: m["plan"].update(predicted_j_per_gop=1.5), (None, 1.5)),
        ("model", "stm.leak", lambda m: m["model"]["stm"].update(leak=0.5), (None, 0.5)),
        ("versions", "torch", lambda m: m["versions"].update(torch="9"), (None, "9")),
        ("link", "address_bytes", lambda m: m["link"].update(address_bytes=9), (None, 9)),
        ("source", "seed", lambda m: m["source"].pop("seed"), ("0", None)),
    ],
)
def test_one_changed_value_is_the_one_difference(bundle, bundle_dir, tmp_path, seal, section, key, change, values):
    copy = shutil.copytree(bundle_dir, tmp_path / "copy")
    found = differences(bundle, changed_manifest(copy, seal, change), (bundle_dir, copy))
    assert [(x.section, x.key) for x in found] == [(section, key), ("checksums", "manifest.json")]
    assert found[0].right == values[1]
    assert found[0].left == values[0] or values[0] is None


def _op(manifest, name):
    return next(op for op in manifest["plan"]["ops"] if op["op"] == name)


def test_weights_are_counted_and_the_largest_difference_is_given(bundle):
    network = bundle.network
    first = network.layers[0]
    connection = first.connections[0]
    weight = connection.synapse.weight.copy()
    weight.flat[:2] = [127, -127]
    before = [int(x) for x in connection.synapse.weight.flat[:2]]
    connection = replace(connection, synapse=replace(connection.synapse, weight=weight))
    layer = replace(first, connections=(connection,), scale=first.scale * 2)
    found = list(compare_networks(network, replace(network, layers=(layer, *network.layers[1:]))))
    assert [x.key for x in found] == [f"{first.name}.scale", f"{first.name}.connections.0.weight"]
    most = max(abs(127 - before[0]), abs(-127 - before[1]))
    assert found[1].right == f"2 of {weight.size:,} differ, by {most} at most"
    gone = list(compare_networks(network, replace(network, layers=network.layers[:-1])))
    assert [(x.key, x.right) for x in gone] == [(network.layers[-1].name, None)]


def test_diff_prints_a_table_or_json_and_ends_with_0_2_or_4(hybrid, bundle_dir, other_dir, tmp_path):
    code, out, _ = hybrid("diff", bundle_dir, bundle_dir)
    assert code == 0
    assert "equal" in out
    code, out, _ = hybrid("diff", bundle_dir, other_dir)
    assert code == 4
    assert "costs.power_static" in out
    assert "more; --json" in out
    code, out, _ = hybrid("diff", bundle_dir, other_dir, "--json")
    found = json.loads(out)
    assert code == 4
    assert found["equal"] is False
    assert {"section": "chip", "key": "name", "left": "loihi2", "right": "loihi1"} in found["differences"]
    code, _, err = hybrid("diff", bundle_dir, tmp_path)
    assert code == 2
    assert "no bundle" in err
