"""NIR, the Neuromorphic Intermediate Representation, out and in.

A file that `write` made holds the graph for other tools, and in its metadata the network itself, which `read` gives
back exactly. Any other file becomes a float network in forward Euler steps (`neurons`); quantise it to run it on
a chip.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from snn_export import files
from snn_export.hdf5 import Tree, library, read_tree, write_aside
from snn_export.network import REAL, NetworkError, Reset, SpikingNetwork
from snn_export.nir.export import to_nodes, unsaid
from snn_export.nir.importer import DEFAULT_DT, network

__all__ = ["DEFAULT_DT", "dumps", "from_graph", "from_tree", "read", "to_graph", "unsaid", "write"]

OURS = "snn_export"
"""Where a graph's metadata hold the exact network."""
LAW = (
    "state is 0 at the start of each sequence; integers: v is cut towards zero to 24 bits with 6 of fraction, "
    "and clipped; the exact network is in this group"
)


def write(net: SpikingNetwork, path: Path, dt: float = DEFAULT_DT) -> None:
    """Write a network, aside and renamed; what NIR cannot say is warned of, and named in the metadata.

    Args:
        net: of either arithmetic.
        path: the file.
        dt: the step in seconds, which the time constants refer to.

    Raises:
        NetworkError: for a sparse connection too large for NIR, or a file that cannot be written.
        MissingLibraryError: without nir or h5py.
    """
    if lines := unsaid(net):
        warnings.warn(f"{path}: NIR cannot say: {'; '.join(lines)}", stacklevel=2)
    write_aside(path, dumps(net, dt))


def dumps(net: SpikingNetwork, dt: float = DEFAULT_DT) -> bytes:
    """The bytes of the file: equal networks give equal bytes. Errors as `write`."""
    buffer = io.BytesIO()
    library("nir", "nir", "the NIR file").write(buffer, to_graph(net, dt))
    return buffer.getvalue()


def to_graph(net: SpikingNetwork, dt: float = DEFAULT_DT) -> Any:
    """The `nir.NIRGraph` of a network, with the network itself in the metadata. Errors as `write`."""
    nodes, edges = to_nodes(net, dt)
    structure, arrays = files.dumps(net)
    notes = {
        "dt": dt, "law": LAW, "unsaid": "; ".join(unsaid(net)),
        "structure": structure, "arrays": np.frombuffer(arrays, np.uint8),
    }  # fmt: skip
    nir = library("nir", "nir", "the NIR file")
    # nir 1.0.8 takes every kernel for square and forgets the groups when it checks shapes
    return nir.NIRGraph(nodes, edges, metadata={OURS: notes}, type_check=False)


def read(path: Path, *, dt: float | None = None, reset: Reset = Reset.ZERO, bits: int = REAL) -> SpikingNetwork:
    """Read a NIR file.

    Args:
        path: the file.
        dt: the step in the unit of the file's time constants. None takes what the file says if it is ours; else
            1e-4 s, as snnTorch and the NIR paper (norse's default is 1e-3), or 1 where nothing has a time
            constant.
        reset: what a spike does; NIR knows zero only, snnTorch trains with soft by default.
        bits: of the values that enter, as `InputPort.bits`. Ignored, as `reset`, for a file of ours.

    Returns:
        A float network; from a file of ours, the network that was written.

    Raises:
        NetworkError: for what is no NIR file, and naming the node for what cannot run here.
        MissingLibraryError: without h5py.
    """
    return from_tree(read_tree(path, "NIR"), str(path), dt=dt, reset=reset, bits=bits)


def from_tree(
    tree: Tree, where: str, *, dt: float | None = None, reset: Reset = Reset.ZERO, bits: int = REAL
) -> SpikingNetwork:
    """As `read`, of the file's contents; `where` is what to call the file in an error."""
    graph = tree.get("node")
    if not isinstance(graph, dict):
        raise NetworkError(where, "it has no graph in the group `node`", "give a NIR file")
    return _from_graph(graph, where, dt, reset, bits)


def from_graph(graph: Any, *, dt: float | None = None, reset: Reset = Reset.ZERO, bits: int = REAL) -> SpikingNetwork:
    """The network of a `nir.NIRGraph` in memory, as `read` gives that of a file."""
    return _from_graph(graph.to_dict(), "the graph", dt, reset, bits)


def _from_graph(tree: Tree, where: str, dt: float | None, reset: Reset, bits: int) -> SpikingNetwork:
    notes = tree.get("metadata")
    ours = notes.get(OURS) if isinstance(notes, dict) else None
    if not isinstance(ours, dict):
        return network(tree, where, dt, reset, bits)
    step, packed = ours.get("dt"), np.asarray(ours.get("arrays", np.zeros(0, np.uint8)))
    if not isinstance(step, float) or not isinstance(ours.get("structure"), str) or packed.dtype != np.uint8:
        raise NetworkError(f"{where}:metadata/{OURS}", "it is not as `write` makes it", "write the file again")
    exact = files.loads(ours["structure"], packed.tobytes(), f"{where}:metadata/{OURS}")
    if _same(tree, to_graph(exact, step).to_dict()):
        return exact
    warnings.warn(f"{where}: its graph was changed after it was written; the graph is read", stacklevel=3)
    return network(tree, where, step if dt is None else dt, reset, bits)


def _same(tree: Any, other: Any) -> bool:
    """Whether two graphs have the same nodes, parameters and edges."""
    if isinstance(tree, dict) and isinstance(other, dict):
        keys = {*tree, *other} - {"metadata", "version"}
        return all(_same(tree.get(key), other.get(key)) for key in keys)
    if tree is None or other is None:
        # HDF5 has no None
        return tree is other
    a, b = np.asarray(tree), np.asarray(other)
    if a.dtype.kind in "OUS" or b.dtype.kind in "OUS":
        return bool(a.astype(str).shape == b.astype(str).shape and (a.astype(str) == b.astype(str)).all())
    return bool(np.array_equal(a, b))
