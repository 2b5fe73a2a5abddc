"""One door for every format a network comes in: our own folder, NIR, netx."""

from __future__ import annotations

from pathlib import Path

from snn_export import files, hdf5, netx, nir
from snn_export.network import REAL, NetworkError, Reset, SpikingNetwork

FIX = f"give a folder with {files.STRUCTURE}, a NIR file, or a netx file of lava-dl"


def load(
    path: Path,
    *,
    dt: float | None = None,
    reset: Reset = Reset.ZERO,
    bits: int | None = None,
    input_shape: tuple[int, ...] | None = None,
) -> SpikingNetwork:
    """Read a network; what it is shows in its content, whatever its name.

    Args:
        path: a folder that `files.write` or `hybrid compile` made, or `spiking.json` in it; a NIR file; a netx
            file.
        dt: for NIR, the step, as in `nir.read`.
        reset: for NIR, what a spike does.
        bits: of the values that enter, for a file that does not say: spikes in netx, real numbers in NIR.
        input_shape: for netx, the shape of the input, for a file that does not say.

    Raises:
        NetworkError: where it is none of these, damaged, or cannot run here.
        MissingLibraryError: for a file without h5py.
    """
    if path.name == files.STRUCTURE and path.is_file():
        path = path.parent
    if path.is_dir():
        if not (path / files.STRUCTURE).is_file():
            raise NetworkError(str(path), f"the folder holds no {files.STRUCTURE}", FIX)
        return files.read(path)
    tree = hdf5.read_tree(path, "NIR or netx")
    if "node" in tree:
        return nir.from_tree(tree, str(path), dt=dt, reset=reset, bits=REAL if bits is None else bits)
    if "layer" in tree:
        return netx.from_tree(tree, str(path), bits=1 if bits is None else bits, input_shape=input_shape)
    raise NetworkError(str(path), f"an HDF5 file with {sorted(tree)} is neither NIR nor netx", FIX)
