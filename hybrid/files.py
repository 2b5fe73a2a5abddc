"""Write aside, then rename: nobody ever sees half a file or half a folder, nor what a killed process left of one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hybrid.errors import BadInputError, HybridError
from snn_export.aside import claimed, exchange

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
        raise unwritten(target, error) from error


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
    with ExitStack() as stack:
        with writing(target):
            aside = stack.enter_context(claimed(target, folder=True))
        try:
            yield aside
        except OSError as error:
            if error.errno not in FULL:
                raise  # the block may have met it anywhere
            raise unwritten(target, error) from error
        with writing(target):
            aside.chmod(0o755)
            if target.exists() and any(target.iterdir()):
                exchange(aside, target)
            else:
                os.replace(aside, target)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty temporary folder; one that a killed process left is taken over, or removed, by the next.

    Raises:
        HybridError: where it cannot be made.
    """
    usual = Path(tempfile.gettempdir()) / f"hybrid-{os.geteuid()}"
    with ExitStack() as stack:
        with writing(usual):
            folder = stack.enter_context(claimed(usual, folder=True))
        yield folder


def write_aside(path: Path, data: bytes) -> None:
    """Write a file aside and rename it; where that fails, the old file stays and nothing else is left.

    Raises:
        HybridError: where it cannot be written.
    """
    with writing(path), claimed(path) as aside:
        aside.write_bytes(data)
        aside.chmod(0o644)
        os.replace(aside, path)


def unwritten(target: Path, error: OSError) -> HybridError:
    """That `target` cannot be written: what, why, and what to do."""
    fix = f"{'make room' if error.errno in FULL else 'choose another place'}, then run the same command again"
    return HybridError(str(target), f"{target.name} cannot be written: {error.strerror}", fix)
