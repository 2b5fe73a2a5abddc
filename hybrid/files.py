"""Write aside, then rename: nobody ever sees half a file or half a folder."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybrid.errors import BadInputError, HybridError

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a full disk, or a used-up quota, says."""


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Where something cannot be written in this block, say what, why, and what to do.

    Raises:
        HybridError: for an OSError: a full disk, a folder that may not be written.
    """
    try:
        yield
    except OSError as error:
        raise _unwritten(target, error) from error


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are not there.

    Raises:
        HybridError: where it cannot be made.
    """
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def folder_aside(target: Path, marker: str) -> Iterator[Path]:
    """A temporary folder that becomes `target` when the block ends well, and vanishes when it does not.

    An older folder at `target` is replaced only if it holds the file `marker`, that is, if it is ours.

    Raises:
        BadInputError: where `target` exists and is something else.
        HybridError: where it cannot be made, or the disk is full.
    """
    if target.exists() and not (target.is_dir() and ((target / marker).is_file() or not any(target.iterdir()))):
        raise BadInputError(str(target), f"it exists and holds no {marker}", "choose another folder, or remove it")
    make_folder(target.parent)
    with writing(target):
        aside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        yield aside
        aside.chmod(0o755)
        if target.exists():
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.old."))
            os.replace(target, old)
            os.replace(aside, target)
            shutil.rmtree(old)
        else:
            os.replace(aside, target)
    except OSError as error:
        if error.errno not in FULL:
            raise  # the block may have met it anywhere
        raise _unwritten(target, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_aside(path: Path, data: bytes) -> None:
    """Write a file aside and rename it; where that fails, the old file stays and nothing else is left.

    Raises:
        HybridError: where it cannot be written.
    """
    with writing(path):
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        finally:
            Path(aside).unlink(missing_ok=True)


def _unwritten(target: Path, error: OSError) -> HybridError:
    fix = f"{'make room' if error.errno in FULL else 'choose another place'}, then run the same command again"
    return HybridError(str(target), f"{target.name} cannot be written: {error.strerror}", fix)
