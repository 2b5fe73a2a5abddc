"""More than 10,000 damaged inputs: every reader of ours reads or refuses each, in time, in memory, in clear words."""

from __future__ import annotations

import json
import shutil
import warnings
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from hwsim import chip
from hybrid.bundle import MANIFEST, load_bundle
from hybrid.datasets import folder, hmdb51, kinetics, something_something, ucf101
from hybrid.model.checkpoint import load_checkpoint
from hybrid.model.config import load_config
from hybrid.shipped import CHECKPOINT
from snn_export import files, netx, nir
from snn_export.hdf5 import read_tree

CHIPS = sorted((Path(str(resources.files("hwsim"))) / "chips").glob("*.toml"))


def rounds(count):
    """A generator of random numbers for each input: any of them can be made again."""
    return (np.random.default_rng(seed) for seed in range(count))


@pytest.mark.parametrize("profile", CHIPS, ids=lambda path: path.stem)
def test_chip_profiles(profile, damaged, survives):
    text = profile.read_bytes()
    inputs = (damaged(text, rng).decode(errors="replace") for rng in rounds(400))
    assert survives(lambda x: chip.parse(x, "chip.toml"), inputs) > 100


def test_networks(bundle, damaged, survives):
    structure, packed = files.dumps(bundle.network)
    tree = json.loads(structure)
    inputs = (
        (json.dumps(damaged(tree, rng)), packed) if i % 3 else (structure, damaged(packed, rng))
        for i, rng in enumerate(rounds(2000))
    )
    assert survives(lambda x: files.loads(*x, "spiking.json"), inputs) > 1000


LISTS = {
    "ucf101": {"classInd.txt": b"1 Run\n2 Sit\n", "trainlist01.txt": b"Run/v_Run_g01_c01.avi 1\n",
               "testlist01.txt": b"Sit/v_Sit_g02_c01.avi\n"},
    "hmdb51": {"run_test_split1.txt": b"a.avi 1\nb.avi 2\n", "sit_test_split1.txt": b"c.avi 1\nd.avi 0\n"},
    "kinetics": {"train.csv": b"label,youtube_id,time_start,time_end,split\nrun,abcdefghijk,0,10,train\n"},
    "something": {"labels.json": b'{"Moving [x]": "0"}', "train.json": b'[{"id": "1", "template": "Moving [x]"}]',
                  "validation.json": b"[]"},
    "folder": {"list.csv": b"path,label\nrun/a.avi,run\n"},
}  # fmt: skip
READERS = {
    "ucf101": lambda root: ucf101(root, root, missing="skip"),
    "hmdb51": lambda root: hmdb51(root, root, missing="skip"),
    "kinetics": lambda root: kinetics(root, root / "train.csv", missing="skip"),
    "something": lambda root: something_something(root, root, missing="skip"),
    "folder": lambda root: folder(root, root / "list.csv", missing="skip"),
}


@pytest.mark.parametrize("layout", LISTS)
def test_lists_of_data_sets(layout, tmp_path, damaged, survives):
    for name in ("run", "sit"):
        (tmp_path / name).mkdir()
    names = list(LISTS[layout])

    def read(data):
        for name, text in LISTS[layout].items():
            (tmp_path / name).write_bytes(data[1] if name == data[0] else text)
        found = READERS[layout](tmp_path)
        outside = [clip.path for clip in found.clips if tmp_path not in clip.path.resolve().parents]
        assert not outside, "a clip outside of the data set's folder"

    inputs = ((name := names[i % len(names)], damaged(LISTS[layout][name], rng)) for i, rng in enumerate(rounds(700)))
    assert survives(read, inputs) > 20


def test_bundles(bundle_dir, seal, tmp_path, damaged, survives):
    target = shutil.copytree(bundle_dir, tmp_path / "bundle")
    documents = {path: path.read_bytes() for path in sorted(target.glob("*.json"))}

    def read(data):
        path, text = data
        path.write_bytes(text)
        try:
            seal(target, *({path.name} - {MANIFEST}))  # as one does who wants to be believed
            load_bundle(target)
        finally:
            for place, before in documents.items():
                place.write_bytes(before)

    def inputs():
        paths = list(documents)
        for i, rng in enumerate(rounds(500)):
            path = paths[i % len(paths)]
            tree = json.loads(documents[path])
            yield path, damaged(documents[path], rng) if i % 4 == 0 else json.dumps(damaged(tree, rng)).encode()

    assert survives(read, inputs()) > 300


def test_checkpoints(tmp_path, damaged, survives):
    data, path = CHECKPOINT.read_bytes(), tmp_path / "model.safetensors"
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])

    def inputs():
        for i, rng in enumerate(rounds(600)):
            changed = json.loads(json.dumps(header))
            if i % 2:
                config = json.loads(changed["__metadata__"]["config"])
                changed["__metadata__"]["config"] = json.dumps(damaged(config, rng))
            else:
                changed = damaged(changed, rng)
            text = json.dumps(changed).encode() if i % 5 else damaged(data[8 : 8 + size], rng)
            yield len(text).to_bytes(8, "little") + text + data[8 + size :]

    def read(content):
        path.write_bytes(content)
        load_checkpoint(path)

    assert survives(read, inputs()) > 400


def test_configs(tmp_path, damaged, survives):
    text = (resources.files("hybrid") / "model" / "configs" / "tiny.toml").read_bytes()
    path = tmp_path / "config.toml"

    def read(content):
        path.write_bytes(content)
        load_config(path)

    assert survives(read, (damaged(text, rng) for rng in rounds(800))) > 100


@pytest.mark.parametrize("kind", ["nir", "netx"])
def test_trees_of_foreign_files(kind, bundle, tmp_path, damaged, survives):
    module, path = (nir, tmp_path / "network.nir") if kind == "nir" else (netx, tmp_path / "network.net")
    network = bundle.network if kind == "nir" else netx.streams(bundle.network)["residual"]
    module.write(network, path)
    tree = read_tree(path, kind)
    changed = (damaged(tree, rng, stored=True) for rng in rounds(1200))
    inputs = (x for x in changed if isinstance(x, dict))  # the root of a file is a group
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on a graph that is not as it was written
        assert survives(lambda x: module.from_tree(x, str(path)), inputs) > 300
