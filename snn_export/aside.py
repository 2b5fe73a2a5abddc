"""Places to write aside, then to rename: locked while their writer lives, taken over by the next one when it is dead.

A program that is killed cannot remove what it had half written. So a place has no random name: the next writer of the
same target comes by, sees that nobody holds it, and uses or removes it. Standard library only; POSIX.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What file systems without locks say, such as Lustre as it is often mounted."""
NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
"""What systems and file systems say that cannot exchange two names, such as NFS."""
LONGEST = 200
"""Characters of a target's name that its place shares; a name has at most 255 bytes."""
_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""


@contextmanager
def claimed(target: Path, *, folder: bool = False) -> Iterator[Path]:
    """An empty file or folder beside `target` that is nobody else's: `.NAME.part`, to be filled and renamed.

    While another process writes the same target, it is `.NAME.1.part` and so on. What is still there when the block
    ends is removed; what a killed process left there was removed before. On a file system without locks the name is
    random, and what a killed process leaves stays.

    Raises:
        OSError: where it cannot be made.
    """
    place, handle = _claim(target, folder)
    try:
        yield place
    finally:
        _remove_and_close(place, handle)


def sweep(target: Path, first: int = 0) -> None:
    """Remove what killed writers of `target` left, from that place on; what a living one holds stays."""
    for number in count(first):
        place = _place(target, number)
        try:
            folder = stat.S_ISDIR(place.lstat().st_mode)
        except FileNotFoundError:
            return
        with suppress(OSError):
            handle = _hold(place, folder)
            if handle is not None:
                _remove(place, handle)
                os.close(handle)


def exchange(place: Path, target: Path) -> None:
    """Put a folder that `claimed` gave where another one is, and remove that: at every moment one of them is there.

    Raises:
        OSError: where they cannot be exchanged.
    """
    old = _hold(target, folder=True, wait=True)
    if old is None:
        raise FileExistsError(errno.EEXIST, "it belongs to somebody else", str(target))
    try:
        _swap(place, target)
    finally:
        _remove_and_close(place, old)  # which is the old one only where they were exchanged


def try_lock(handle: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder for as long as it is open here or in a child; whether nobody else holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _claim(target: Path, folder: bool) -> tuple[Path, int]:
    number, place = 0, _place(target, 0)
    try:
        while True:
            handle = _hold(place, folder)
            if handle is not None:
                _empty(place, handle)
                sweep(target, number + 1)
                return place, handle
            number += 1
            place = _place(target, number)
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
    with suppress(OSError):  # made to be locked
        place.rmdir() if folder else place.unlink()
    place = target.with_name(f".{target.name[:LONGEST]}.{secrets.token_hex(4)}.part")
    return place, _open(place, folder)


def _place(target: Path, number: int) -> Path:
    name = target.name[:LONGEST]
    return target.with_name(f".{name}.{number}.part" if number else f".{name}.part")


def _hold(place: Path, folder: bool, *, wait: bool = False) -> int | None:
    """Open and lock a place, which is made where it is missing; None where a process, or another user, holds it."""
    while True:
        handle = _open(place, folder)
        try:
            if os.fstat(handle).st_uid != os.geteuid() or not try_lock(handle, wait=wait):
                os.close(handle)
                return None
        except BaseException:
            os.close(handle)
            raise
        if _is_at(place, handle):
            return handle
        os.close(handle)  # its holder renamed or removed it meanwhile


def _open(place: Path, folder: bool) -> int:
    if not folder:
        return os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    while True:
        with suppress(FileExistsError):
            place.mkdir()
        with suppress(FileNotFoundError):  # removed meanwhile
            return os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _is_at(place: Path, handle: int) -> bool:
    try:
        return os.path.samestat(place.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _empty(place: Path, handle: int) -> None:
    if not stat.S_ISDIR(os.fstat(handle).st_mode):
        os.ftruncate(handle, 0)
        return
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _remove_and_close(place: Path, handle: int) -> None:
    try:
        _remove(place, handle)
    except BaseException:  # Ctrl-C just now
        _remove(place, handle)
        raise
    finally:
        os.close(handle)


def _remove(place: Path, handle: int) -> None:
    if not _is_at(place, handle):
        return
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def _swap(one: Path, other: Path) -> None:
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    number = errno.ENOSYS
    if rename is not None:
        if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
            return
        number = ctypes.get_errno()
    if number not in NO_EXCHANGE:
        raise OSError(number, os.strerror(number), str(other))
    third = one.with_name(f"{one.name}.{secrets.token_hex(4)}")
    other.rename(third)
    one.rename(other)
    third.rename(one)
