"""One writer for each run: a lock that ends with the process that holds it, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from mining.errors import ArtifactError

LOCK = ".lock"
"""In a run's folder: which process writes there; empty while none does."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

_held: dict[Path, int] = {}


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Keep other processes from writing into a folder, which must be there.

    Within this process it may be held several times over; gives whether this is the first. Where
    the file system knows no locks, that is said, and nobody is kept out. Raises ArtifactError while
    another process holds it, and OSError if nothing can be written there.
    """
    folder = folder.resolve()
    if folder in _held:
        yield False
        return
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        is_locked = _lock(lock, folder)
        if is_locked:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"process {os.getpid()} on {platform.node()}".encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    _held[folder] = lock
    try:
        yield True
    finally:
        if _held.pop(folder, None) is not None:  # in a fork it is not held any more
            if is_locked:
                os.ftruncate(lock, 0)
            os.close(lock)


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Keep others out of a folder, which must be there, for a moment; wait for them before.

    That no lock can be had is said once, as by ``alone``.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _flock(opened, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(opened)


def _lock(lock: int, folder: Path) -> bool:
    try:
        return _flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, folder)
    except BlockingIOError:
        holder = os.pread(lock, 300, 0).decode("utf-8", "replace") or "another process"
        raise ArtifactError(
            f"Expected to write into {folder} alone, found another lossplace at work there "
            f"({holder}); wait for its end, or choose another folder with --run-dir."
        ) from None


def _flock(opened: int, how: int, folder: Path) -> bool:
    """Lock what is open; False where the file system knows no locks."""
    try:
        fcntl.flock(opened, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn(folder, error.strerror)
        return False
    return True


@cache
def _warn(folder: Path, why: str) -> None:
    from mining.progress import say

    say(
        f"{folder} cannot be locked ({why}): take care that no other lossplace writes there "
        "meanwhile"
    )


def _let_go() -> None:
    """Leave the locks to the parent, or they would be held for as long as this fork lives."""
    for lock in _held.values():
        os.close(lock)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
