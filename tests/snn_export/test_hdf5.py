"""HDF5 files of strangers: damage, traps, and an HDF5 library that never ends."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from snn_export import hdf5
from snn_export.network import NetworkError


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as handle:
        handle["group/name"] = "word"
        handle["group/many"] = np.array(["a", "b"], object)
        handle["numbers"] = np.arange(6).reshape(2, 3)
        handle["one"] = 2.5
    return file


def test_numbers_and_text_come_out_as_they_went_in(path):
    tree = hdf5.read_tree(path, "test")
    assert tree["group"]["name"] == "word"
    assert tree["group"]["many"].tolist() == ["a", "b"]
    assert tree["numbers"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert tree["one"] == 2.5


def test_a_file_on_which_the_hdf5_library_never_ends_is_given_up(path, monkeypatch):
    content = bytearray(path.read_bytes())
    # an object of size 0 in the heap that holds text: the library goes round in circles
    content[content.index(b"GCOL") + 24] = 0
    path.write_bytes(content)
    monkeypatch.setattr(hdf5, "TRIAL_S", 2.0)
    with pytest.raises(NetworkError, match="does not end within 2 s"):
        hdf5.read_tree(path, "test")


def test_a_file_on_which_the_hdf5_library_crashes_is_refused(path, monkeypatch):
    monkeypatch.setattr(hdf5.sys, "executable", "/bin/false")
    with pytest.raises(NetworkError, match="crashes"):
        hdf5.read_tree(path, "test")


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda f: f.__setitem__("x", h5py.SoftLink("/numbers")), "link"),
        (lambda f: f.__setitem__("x", h5py.ExternalLink("b.h5", "y")), "link"),
        (lambda f: f.create_dataset("x", (2**20, 2**20), "f8", chunks=(64, 64)), "file of this size"),
        (lambda f: f.create_dataset("x", data=np.zeros(2, [("a", "i4"), ("b", "f4")])), "neither numbers nor text"),
        (lambda f: f.create_dataset("x", data=h5py.Empty("f4")), "neither a group nor a data set"),
        (lambda f: f.create_dataset("x", (4,), "i1", external=[("/etc/hostname", 0, 4)]), "another file"),
        (lambda f: f.create_group("/".join("abcdefghijklmnopqrstuvw")), "too deep"),
        (lambda f: f["group"].__setitem__("again", f["group"]), "too deep"),
        (lambda f: f["group"].__setitem__(b"\xff\xfe", 1), "not UTF-8"),
    ],
)
def test_traps_are_refused_with_their_place(path, make, what):
    with h5py.File(path, "r+") as file:
        make(file)
    with pytest.raises(NetworkError, match=what) as error:
        hdf5.read_tree(path, "test")
    assert error.value.where.startswith(f"{path}:/")


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    hdf5.write_aside(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    with pytest.raises(NetworkError, match="cannot be written"):
        hdf5.write_aside(tmp_path / "absent" / "a", b"new")
    (tmp_path / "b").mkdir()
    with pytest.raises(NetworkError, match="cannot be written"):
        hdf5.write_aside(tmp_path / "b", b"new")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["a", "b"]
