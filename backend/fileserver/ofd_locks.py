"""Locks in Linux's eyes: those of an open file description, fcntl(2).

They conflict with every other process's and description's, POSIX locks included, and go when the
description is closed, however the process ends.
"""

from __future__ import annotations

import errno
import fcntl
from struct import Struct
from typing import TYPE_CHECKING, Final

from backend.fileserver.locks import MAX_END

if TYPE_CHECKING:
    from backend.fileserver.locks import Range

# struct flock of a 64-bit Dom0: type, whence, start, length, pid.  whence 0 is SEEK_SET, and pid
# must be 0 (fcntl(2), "Open file description locks").
_FLOCK: Final = Struct("@hhqqi4x")


def lock(fd: int, start: int, end: int, *, write: bool) -> bool:
    """Lock these bytes for ``fd``'s description; false if somebody else's lock is in the way.

    A lock that the description has there is changed, without a moment in between.
    Raises ``OSError``: EBADF (not open for reading, or for writing), ENOLCK.
    """
    try:
        _set(fd, _kind(write), start, end)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def unlock(fd: int, start: int, end: int) -> None:
    """Give these bytes back.  Raises ``OSError`` ENOLCK, where that splits a lock in two."""
    _set(fd, fcntl.F_UNLCK, start, end)


def in_the_way(fd: int, start: int, end: int, *, write: bool) -> tuple[Range, bool] | None:
    """A lock, not ``fd``'s description's own, that these bytes cannot be locked for: its range, and
    whether it is exclusive.
    """
    asked = _FLOCK.pack(_kind(write), 0, start, _length(start, end), 0)
    kind, _, first, length, _ = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))
    if kind == fcntl.F_UNLCK:
        return None
    return (first, first + length - 1 if length else MAX_END), kind == fcntl.F_WRLCK


def _set(fd: int, kind: int, start: int, end: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, 0, start, _length(start, end), 0))


def _kind(write: bool) -> int:
    return fcntl.F_WRLCK if write else fcntl.F_RDLCK


def _length(start: int, end: int) -> int:
    """As fcntl(2) counts: 0 is "to the end of the file, however large it gets"."""
    return 0 if end == MAX_END else end - start + 1
