"""Which part of a file has no room on disk yet, so what a write adds."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def holes(fd: int, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of ``start`` to ``end`` that a write would have to allocate, in whole blocks.

    Where the file ends within a block, that block is there already.  What was allocated but never
    written counts as a hole: that errs on the safe side.  Moves the descriptor's position.
    """
    status = os.fstat(fd)
    block = status.st_blksize
    if start == end:
        return
    at, end = start - start % block, _up(end, block)
    while at < end:
        hole = at
        if at < status.st_size:
            hole = _up(seek(fd, at, os.SEEK_HOLE, at), block)
        if hole >= end:
            return
        at = min(end, seek(fd, hole, os.SEEK_DATA, end))
        at = max(at - at % block, hole + block)
        yield hole, at


def growth(fd: int, start: int, end: int) -> int:
    """Bytes that writing ``start`` to ``end`` may add to the file's space on disk."""
    return sum(above - below for below, above in holes(fd, start, end))


def seek(fd: int, at: int, whence: int, none: int) -> int:
    """lseek(2); ``none`` where there is nothing of the kind behind ``at``."""
    try:
        return os.lseek(fd, at, whence)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return none


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
