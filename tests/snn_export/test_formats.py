"""One loader for all formats, by content."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from snn_export import files, netx, nir
from snn_export.formats import load
from snn_export.network import LIF, Connection, Dense, InputPort, Layer, NetworkError, SpikingNetwork


@pytest.fixture(scope="module")
def network():
    synapse = Dense(np.array([[3, -2]], np.int8))
    layer = Layer("out", (1,), (Connection("in", synapse),), LIF(*np.array([[4000], [9]], np.int32)))
    return SpikingNetwork((InputPort("in", (2,), 4),), (layer,))


def test_the_same_network_comes_out_of_every_format_whatever_the_files_name(network, tmp_path):
    files.write(network, tmp_path)
    netx.write(network, tmp_path / "a.bin")
    nir.write(network, tmp_path / "b.bin")
    for path in (tmp_path, tmp_path / "spiking.json", tmp_path / "a.bin", tmp_path / "b.bin"):
        assert files.dumps(load(path)) == files.dumps(network)


def test_what_is_none_of_them_is_refused_with_what_it_could_be(tmp_path):
    (tmp_path / "notes.nir").write_text("no network")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = np.zeros(3)
    for path, what in (
        (tmp_path, "holds no spiking.json"),
        (tmp_path / "absent.nir", "cannot be read"),
        (tmp_path / "notes.nir", "does not begin as an HDF5 file"),
        (tmp_path / "other.h5", r"\['images'\]"),
    ):
        with pytest.raises(NetworkError, match=what) as error:
            load(path)
        assert error.value.exit_code == 2
