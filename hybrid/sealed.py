"""Files of a folder that a stranger may have changed: sizes before contents, no way out, and no surprises in JSON."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError

from hybrid.errors import BadInputError, HybridError, VerificationError

AGAIN = "compile the model again"
JSON_LIMIT = 2**26
"""Bytes of a JSON file, which takes many times as much in memory."""
FILE_LIMIT = 2**35
"""Bytes of any other file."""
CHUNK = 2**20


class FileRecord(BaseModel):
    """What a file must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bytes: int = Field(ge=0, le=FILE_LIMIT, description="its size")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="of its contents")


def record(path: Path) -> FileRecord:
    """The size and checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return FileRecord(bytes=path.stat().st_size, sha256=digest.hexdigest())


def check(path: Path, wanted: FileRecord) -> None:
    """Compare a file with its record; one of another size is not read at all.

    Raises:
        BadInputError: where it is missing, a link, or no file.
        VerificationError: where it was changed.
    """
    size = size_of(path)
    if size != wanted.bytes:
        what = f"its size and checksum are not those in the manifest: {size:,} bytes instead of {wanted.bytes:,}"
        raise VerificationError(str(path), what, AGAIN)
    if record(path) != wanted:
        raise VerificationError(str(path), "its checksum is not the one in the manifest: it was changed", AGAIN)


def size_of(path: Path) -> int:
    """Bytes of a plain file within the limit of its kind.

    Raises:
        BadInputError: where it is missing, a link, no file, or too large.
    """
    if path.is_symlink():
        raise BadInputError(str(path), "it is a link to another place", "put the file itself there")
    if not path.is_file():
        raise BadInputError(str(path), "this file of the bundle is missing", AGAIN)
    size, limit = path.stat().st_size, JSON_LIMIT if path.suffix == ".json" else FILE_LIMIT
    if size > limit:
        raise BadInputError(str(path), f"{size:,} bytes; such a file has at most {limit:,}", AGAIN)
    return size


def read_json(path: Path) -> Any:
    """The contents of a JSON file of limited size; use within `reading`."""
    size_of(path)
    return json.loads(path.read_bytes(), parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"the number {text} is not finite")
    return float(text)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn everything that damaged or hostile contents may raise into one clear error that names the file.

    Raises:
        BadInputError: where the block fails; an error of ours with another exit code keeps it.
    """
    try:
        yield
    except HybridError:
        raise
    # our own readers raise ValueErrors; RuntimeError is torch's, and includes too deep a recursion
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, OSError, MemoryError,
            SafetensorError) as error:  # fmt: skip
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            again = BadInputError(f"{path}: $.{place}", first["msg"], AGAIN)
        elif all(hasattr(error, part) for part in ("where", "what", "fix")):
            again = BadInputError(f"{path}: {error.where}", error.what, error.fix)  # type: ignore[union-attr]
        else:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            again = BadInputError(str(path), f"the bundle cannot be read: {lines[0]}", AGAIN)
        again.exit_code = getattr(error, "exit_code", again.exit_code)
        raise again from error
