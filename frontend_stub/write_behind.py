"""Writing a file with a window of requests in flight: client and server work side by side.

Requests are settled before a function returns or raises: those that are not wanted any more are
flushed, so that no buffer is read afterwards.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from itertools import cycle
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from frontend_stub.file import File
    from frontend_stub.pending import Pending
    from protocol.ninep.messages import Rwrite

WINDOW: Final = 8
"""Requests in flight for one file: two fill a ring of the largest msize, the rest wait in line."""

_BATCHED: Final = 64 * 1024
"""Smaller requests are announced together; a larger one is work enough to announce at once."""


def cut(data: memoryview, size: int) -> Iterator[memoryview]:
    """``data`` in pieces of ``size`` bytes, and a rest."""
    return (data[at : at + size] for at in range(0, len(data), size))


def pieces_of(descriptor: int, size: int, window: int = WINDOW) -> Iterator[memoryview]:
    """What ``descriptor`` (a file, a pipe) gives until its end, gathered into pieces of ``size``.

    A piece stays valid while the next ``window`` are made: as long as it may be in flight.
    Raises ``OSError`` with the local file's errno.
    """
    for buffer in cycle([memoryview(bytearray(size)) for _ in range(window + 1)]):
        filled = 0
        while filled < size and (got := os.readv(descriptor, [buffer[filled:]])):
            filled += got
        if filled:
            yield buffer[:filled]
        if filled < size:
            return


def write_pieces(
    file: File,
    pieces: Iterable[memoryview],
    offset: int = 0,
    window: int = WINDOW,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Write ``pieces`` (each at most ``file.max_io`` bytes) one after the other from ``offset`` on.

    Each must stay unchanged while the next ``window`` are taken.  ``progress`` is called with the
    number of bytes each time some are acknowledged.  Returns the number of bytes written.
    Raises ``OSError``, EIO when the server takes nothing without an error.
    """
    flight: deque[tuple[Pending[Rwrite], int, memoryview]] = deque()
    start = offset
    try:
        for piece in pieces:
            if len(flight) == window:
                _settle_write(file, *flight.popleft(), progress)
            pending = file.submit_write(offset, piece, more=len(piece) < _BATCHED)
            flight.append((pending, offset, piece))
            offset += len(piece)
        while flight:
            _settle_write(file, *flight.popleft(), progress)
    finally:
        file.client.cancel(*(pending for pending, _, _ in flight))
    return offset - start


def _settle_write(
    file: File,
    pending: Pending[Rwrite],
    offset: int,
    piece: memoryview,
    progress: Callable[[int], object] | None,
) -> None:
    """Wait for a write; write again what a short one left."""
    done = 0
    while True:
        count = file.client.wait(pending).count
        left = len(piece) - done
        if count > left or (count == 0 and left):
            raise OSError(
                errno.EIO, f"the server wrote {count} of {left} bytes at {offset + done}", file.name
            )
        done += count
        if progress is not None:
            progress(count)
        if done == len(piece):
            return
        pending = file.submit_write(offset + done, piece[done:])
