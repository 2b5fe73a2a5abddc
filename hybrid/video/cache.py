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
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hybrid.files import write_aside
from hybrid.video.transform import Views

VERSION = 1
"""Raised whenever the same settings would give other arrays."""


def cached_views(path: Path, settings: Mapping[str, object], folder: Path, make: Callable[[], Views]) -> Views:
    """The views of a video from `folder`, or from `make`, which are then stored there.

    Args:
        path: the video.
        settings: everything besides the video that the views depend on; plain JSON values.
        folder: where entries lie; made where it is missing.
        make: reads and prepares the video.

    Raises:
        OSError: where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entry = folder / f"{_key(path, settings)}.safetensors"
    if entry.is_file():
        try:
            return Views(**load_file(entry))
        except (SafetensorError, TypeError):
            entry.unlink(missing_ok=True)  # not ours, or cut off by a full disk of old: make it anew
    views = make()
    arrays = {"iframe": views.iframe, "motion": views.motion, "residual": views.residual}
    # safetensors writes the memory as it lies, whatever the strides say
    write_aside(entry, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
    return views


def _key(path: Path, settings: Mapping[str, object]) -> str:
    digest = hashlib.sha256(json.dumps([VERSION, dict(settings)], sort_keys=True).encode())
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
