"""Read an HDF5 file that somebody else wrote into plain dictionaries, or say what is wrong with it.

Nothing but numbers and text comes out: links to other files, data stored elsewhere and sizes that the file cannot
hold are refused before anything is allocated.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from snn_export.aside import claimed
from snn_export.network import NetworkError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
DEPTH_LIMIT = 16
OBJECT_LIMIT = 100_000
COMPRESSION_LIMIT = 1100
"""DEFLATE packs at most 1032 bytes into one: a data set much larger than this times its file is a lie."""
SMALL_BYTES = 2**20
"""A data set of this size may come from any file: fill values take no room in it."""

AGAIN = "get it again"
REFUSED = 3
"""Exit code of the child process for a file that it refuses."""
TRIAL_S = 15.0
TRIAL_BYTES_PER_S = 5e6
"""How long the child process may take, from its start and per byte of the file."""

Tree = dict[str, Any]


class MissingLibraryError(NetworkError):
    """A library that a format needs is not installed."""

    exit_code = 5


def library(name: str, package: str, where: str) -> Any:
    """Import an optional library.

    Raises:
        MissingLibraryError: where it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingLibraryError(
            where, f"{package} is not installed: {error}", f"run `pip install {package}` in this environment"
        ) from error


def read_tree(path: Path, kind: str) -> Tree:
    """Everything in the file: groups as dictionaries, numbers as arrays or scalars, text as str.

    The file is read in a process of its own first: the HDF5 library may crash or never end on a damaged one.

    Args:
        path: the file.
        kind: what it should be, for the error.

    Raises:
        NetworkError: where it is no HDF5 file, is damaged, or holds something else than numbers and text.
        MissingLibraryError: without h5py.
    """
    where, fix = str(path), f"give a {kind} file"
    library("h5py", "h5py", where)
    try:
        with path.open("rb") as file:
            start = file.read(len(SIGNATURE))
        size = path.stat().st_size
    except OSError as error:
        raise NetworkError(where, f"it cannot be read: {error.strerror}", fix) from error
    if start != SIGNATURE:
        raise NetworkError(where, "it does not begin as an HDF5 file does", fix)
    _try_out(path, kind, TRIAL_S + size / TRIAL_BYTES_PER_S)
    return _read(path, kind)


def _try_out(path: Path, kind: str, seconds: float) -> None:
    """Read the file in a child process, for at most so long."""
    folders = filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
    command = [sys.executable, "-m", "snn_export.hdf5", str(path), kind]
    try:
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        what = f"the file is damaged: reading it does not end within {seconds:.0f} s"
        raise NetworkError(str(path), what, AGAIN) from None
    if done.returncode == REFUSED:
        raise NetworkError(*json.loads(done.stdout))
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise NetworkError(str(path), f"the file is damaged: the HDF5 library crashes on it: {last}", AGAIN)


def _read(path: Path, kind: str) -> Tree:
    where, h5py = str(path), library("h5py", "h5py", str(path))
    try:
        with h5py.File(path, "r") as file:
            return _Reader(h5py, where, f"give a {kind} file", path.stat().st_size).group(file, "", 0)
    # whatever h5py raises for damage: OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeDecodeError
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError, OverflowError) as error:
        if isinstance(error, NetworkError):
            raise
        raise NetworkError(where, f"the file is damaged or cut off: {_line(error)}", AGAIN) from error


class _Reader:
    def __init__(self, h5py: Any, where: str, fix: str, size: int) -> None:
        self.h5py, self.where, self.fix = h5py, where, fix
        self.limit = max(SMALL_BYTES, COMPRESSION_LIMIT * size)
        self.objects = 0

    def group(self, group: Any, place: str, depth: int) -> Tree:
        self.objects += len(group)
        if depth > DEPTH_LIMIT or self.objects > OBJECT_LIMIT:
            raise self.refuse(place, "groups are nested too deep, or are too many")
        tree: Tree = {}
        for name in group:
            here = f"{place}/{name}"
            if not isinstance(name, str):
                raise self.refuse(here, "its name is not UTF-8")
            if not isinstance(group.get(name, getlink=True), self.h5py.HardLink):
                raise self.refuse(here, "it is a link to another place or file")
            item = group[name]
            inside = isinstance(item, self.h5py.Group)
            tree[name] = self.group(item, here, depth + 1) if inside else self.data(item, here)
        return tree

    def data(self, item: Any, place: str) -> Any:
        if not isinstance(item, self.h5py.Dataset) or item.shape is None:
            raise self.refuse(place, "it is neither a group nor a data set with values")
        if item.is_virtual or item.external:
            raise self.refuse(place, "its values lie in another file")
        if item.size * item.dtype.itemsize > self.limit:
            raise self.refuse(place, f"{item.shape} values of {item.dtype} cannot be in a file of this size")
        text = self.h5py.check_string_dtype(item.dtype) is not None
        if not text and item.dtype.kind not in "iufb":
            raise self.refuse(place, f"values of type {item.dtype} are neither numbers nor text")
        return _text(item[()]) if text else item[()]

    def refuse(self, place: str, what: str) -> NetworkError:
        return NetworkError(f"{self.where}:{place}", what, self.fix)


def _text(value: Any) -> Any:
    """One str, or an object array of them."""
    if isinstance(value, np.ndarray):
        return np.array([_text(x) for x in value.ravel()], object).reshape(value.shape)
    return value.decode("utf8") if isinstance(value, bytes) else str(value)


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]


def write_aside(path: Path, data: bytes) -> None:
    """Write a file aside and rename it; nothing is left where that fails.

    Raises:
        NetworkError: where it cannot be written.
    """
    try:
        with claimed(path) as aside:
            aside.write_bytes(data)
            aside.chmod(0o644)
            aside.replace(path)
    except OSError as error:
        raise NetworkError(str(path), f"it cannot be written: {error.strerror}", "choose another place") from error


def main() -> int:
    """Read one file and say what is wrong with it, for `_try_out`."""
    try:
        _read(Path(sys.argv[1]), sys.argv[2])
    except NetworkError as error:
        sys.stdout.write(json.dumps([error.where, error.what, error.fix]))
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
