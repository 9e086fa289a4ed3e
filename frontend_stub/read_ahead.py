"""Reading a file with a window of requests in flight: client and server work side by side.

Requests are settled before a function returns or raises: those that are not wanted any more are
flushed, so that no buffer is written to afterwards.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from frontend_stub.write_behind import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from frontend_stub.file import File
    from frontend_stub.pending import Pending
    from frontend_stub.transport import Slices
    from protocol.ninep.messages import Rread

    # place(number, at, offset, data): data of piece ``number``, from byte ``at`` of the piece and
    # byte ``offset`` of the file on.
    Place = Callable[[int, int, int, Slices], object]


def read_into(file: File, view: memoryview, offset: int, window: int = WINDOW) -> int:
    """Fill ``view`` from ``offset`` on; the number of bytes, less than asked only at the end.

    The data go from the transport's memory to ``view`` directly.
    """

    def place(number: int, at: int, position: int, data: Slices) -> None:
        del number, at
        copy_into(view, position - offset, data)

    end = offset + len(view)
    return sum(_read(file, place, range(offset, end), window, probe=False))


def read_to_file(
    file: File,
    descriptor: int,
    expected: int,
    window: int = WINDOW,
    progress: Callable[[int], object] | None = None,
) -> int:
    """Copy ``file``, about ``expected`` bytes, to the seekable ``descriptor``; how many there were.

    The data go from the transport's memory to the descriptor directly, each where it belongs.
    Raises ``OSError``: the server's, or the local file's.
    """

    def place(number: int, at: int, position: int, data: Slices) -> None:
        del number, at
        write_at(descriptor, position, data)

    total = 0
    for count in _read(file, place, range(expected), window, probe=True):
        total += count
        if progress is not None:
            progress(count)
    # A file that was being cut short while we read may have left something behind its end.
    os.ftruncate(descriptor, total)
    return total


def read_in_order(
    file: File, expected: int, window: int = WINDOW
) -> Generator[memoryview, None, None]:
    """The data of ``file``, about ``expected`` bytes, piece by piece, in order.

    A piece is valid until the next is taken.  Close the iterator (``contextlib.closing``) if it is
    not read to its end, so that what is in flight is flushed.
    """
    buffers = [memoryview(bytearray(file.max_io)) for _ in range(window)]

    def place(number: int, at: int, position: int, data: Slices) -> None:
        del position
        copy_into(buffers[number % window], at, data)

    for number, count in enumerate(_read(file, place, range(expected), window, probe=True)):
        yield buffers[number % window][:count]


def _read(file: File, place: Place, span: range, window: int, *, probe: bool) -> Iterator[int]:
    """Read ``span`` and, with ``probe``, on to the end of the file; the bytes of each piece.

    Behind the expected end one request at a time is in flight: a file that is still growing, or
    that has no size, is read to its end all the same.
    """
    flight: deque[tuple[int, int, int, Pending[Rread]]] = deque()
    number, ahead, end = 0, span.start, span.stop
    try:
        while True:
            while len(flight) < window and (
                ahead < end or (probe and (ahead == end or not flight))
            ):
                count = min(file.max_io, end - ahead) if ahead < end else file.max_io
                sink = partial(place, number, 0, ahead)
                pending = file.submit_read(ahead, count, sink, more=True)
                flight.append((number, ahead, count, pending))
                number += 1
                ahead += count
            if not flight:
                return
            piece, offset, count, pending = flight.popleft()
            got = _finish(file, partial(place, piece), offset, count, pending)
            if got:
                yield got
            if got < count:
                return
    finally:
        file.client.cancel(*(pending for *_, pending in flight))


def _finish(
    file: File,
    place: Callable[[int, int, Slices], object],
    offset: int,
    count: int,
    pending: Pending[Rread],
) -> int:
    """Wait for a read; ask again for what a short one left.  Less than ``count``: the end."""
    done = got = file.client.wait(pending).count
    while got and done < count:
        sink = partial(place, done, offset + done)
        got = file.client.wait(file.submit_read(offset + done, count - done, sink)).count
        done += got
    return done


def copy_into(view: memoryview, at: int, data: Slices) -> None:
    """Copy slices, in order, to ``at`` and on in ``view``."""
    for part in data:
        end = at + len(part)
        view[at:end] = part
        at = end


def write_at(descriptor: int, offset: int, data: Slices) -> None:
    """Write slices, in order, to ``offset`` and on in a file.  Raises ``OSError``."""
    parts = list(data)
    while parts:
        written = os.pwritev(descriptor, parts, offset)
        offset += written
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if parts and written:
            parts[0] = parts[0][written:]
