"""Arrays by name from a NumPy .npz or a safetensors file: nothing is unpickled, nor read before its size is known."""

from __future__ import annotations

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy
from safetensors import SafetensorError
from safetensors.numpy import load_file

from hybrid.errors import BadInputError
from snn_export.network import IntArray

LIMIT = 2**31
"""Bytes that all arrays of a file may take in memory. A small .npz can declare terabytes."""

_ZIP = b"PK"
_FIX = "give a .npz or .safetensors file with one array [steps, ...] or [GOPs, steps, ...] per input port"
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_BROKEN = (
    SafetensorError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError,
    ValueError, TypeError, LookupError, EOFError, MemoryError, SyntaxError, RuntimeError,
)  # fmt: skip
"""What the readers raise for broken, encrypted or unknown content."""


def read_arrays(path: Path) -> Mapping[str, IntArray]:
    """The arrays of a .npz or safetensors file by name; which of the two shows in the content.

    Raises:
        BadInputError: for a file that cannot be read, or whose arrays take more than `LIMIT` bytes.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(_ZIP)) != _ZIP:
                _check(path, path.stat().st_size)  # safetensors does not compress, and holds its header to the file
                return load_file(path)
            return _unpacked(path, file)
    except OSError as error:
        raise BadInputError(str(path), f"it cannot be read: {error.strerror or error}", _FIX) from error
    except _BROKEN as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise BadInputError(str(path), f"not a file of arrays: {words}", _FIX) from error


def _unpacked(path: Path, file: IO[bytes]) -> dict[str, IntArray]:
    with zipfile.ZipFile(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        _check(path, sum(_declared(archive, member) for member in members.values()))
        found = {}
        for name, member in members.items():
            with archive.open(member) as stream:
                found[name] = np.asarray(npy.read_array(stream, allow_pickle=False))  # type: ignore[no-untyped-call]
        return found


def _declared(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Bytes of an array by its own header, held against what the archive's directory says."""
    with archive.open(member) as stream:
        version = npy.read_magic(stream)  # type: ignore[no-untyped-call]
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} is of .npy version {version}")
        shape, _, kind = _HEADERS[version](stream)  # type: ignore[no-untyped-call]
        if kind.hasobject:
            raise ValueError(f"{member.filename} holds Python objects, which are not unpickled")
        size = int(math.prod(shape) * kind.itemsize)
        if size + stream.tell() != member.file_size:
            raise ValueError(f"{member.filename} says {size:,} bytes, the archive {member.file_size:,} with its header")
    return size


def _check(path: Path, size: int) -> None:
    if size > LIMIT:
        fix = "spread the GOPs over several files, or store whole numbers in a smaller type"
        raise BadInputError(str(path), f"its arrays take {size:,} bytes, and {LIMIT:,} is the limit", fix)
