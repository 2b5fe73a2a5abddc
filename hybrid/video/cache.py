"""Prepared views on disk: one safetensors file per video and setting, made once.

The name of an entry is a hash of the video's bytes and of the settings, so that neither a replaced file nor a
changed setting ever finds an old entry. Entries are written aside and renamed: several processes may fill one
folder, and the worst that happens is that two make the same entry.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hybrid.files import make_folder, write_aside
from hybrid.video.transform import Views

VERSION = 1
"""Raised whenever the same settings would give other arrays."""
DTYPES = {"U8": "<u1", "I16": "<i2"}
"""Names of the types in a safetensors header."""


def cached_views(path: Path, settings: Mapping[str, object], folder: Path, make: Callable[[], Views]) -> Views:
    """The views of a video from `folder`, or from `make`, which are then stored there.

    Args:
        path: the video.
        settings: everything besides the video that the views depend on; plain JSON values.
        folder: where entries lie; made where it is missing.
        make: reads and prepares the video.

    Returns:
        Arrays that may be mapped from the entry, and read-only.

    Raises:
        HybridError: where the folder cannot be written.
    """
    make_folder(folder)
    entry = folder / f"{_key(path, settings)}.safetensors"
    if entry.is_file():
        try:
            return _mapped(entry)
        except (SafetensorError, TypeError, KeyError):
            entry.unlink(missing_ok=True)  # not ours, or cut off by a full disk of old: make it anew
    views = make()
    arrays = {"iframe": views.iframe, "motion": views.motion, "residual": views.residual}
    # safetensors writes the memory as it lies, whatever the strides say
    write_aside(entry, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    return views


def _mapped(entry: Path) -> Views:
    """The arrays of an entry, mapped into memory: what is not looked at is not read."""
    with safe_open(entry, "numpy"):  # checks the header against the file's length
        raw = np.memmap(entry, np.uint8, "r")
    begin = 8 + int(raw[:8].view("<u8")[0])
    arrays = {}
    for name, form in json.loads(bytes(raw[8:begin])).items():
        first, last = form["data_offsets"]
        arrays[name] = raw[begin + first : begin + last].view(DTYPES[form["dtype"]]).reshape(form["shape"])
    return Views(**arrays)


def _key(path: Path, settings: Mapping[str, object]) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, dict(settings)], sort_keys=True).encode())
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
