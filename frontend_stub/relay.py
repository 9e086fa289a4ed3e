"""A channel of the share on one side, descriptors of this guest on the other: bytes both ways.

One request to read and one to write are in flight at most, so the bytes keep their order, and what
one side has not taken stops the other: nothing is kept but one piece each way.
"""

from __future__ import annotations

import errno
import os
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from frontend_stub.file import File
    from frontend_stub.pending import Pending
    from frontend_stub.transport import Slices
    from protocol.ninep.messages import Rread, Rwrite

PIECE: Final = 64 * 1024
"""Bytes of one request: more than a monitor says at once, and a good size for bulk."""

LAST_WORDS: Final = 2.0
"""Seconds in which the other side may still answer what the client sent before it hung up."""

_HUNG_UP: Final = (errno.EPIPE, errno.ECONNRESET, errno.EIO)
"""What a descriptor says whose other end is gone; a pseudoterminal says EIO."""


@dataclass(frozen=True)
class Ends:
    """The local side: where to read and where to write, perhaps the same descriptor."""

    reader: int
    writer: int
    most: int = PIECE
    """Bytes that a write takes without waiting once ``writer`` polls writable: of a descriptor that
    is not ours to make non-blocking, ``PIPE_BUF``."""
    end_writing: Callable[[], None] | None = None
    """Tells the other end that nothing more comes, where it can be told while it still talks."""


class Relay:
    """One client's time, from the moment it was accepted."""

    def __init__(self, channel: File, ends: Ends) -> None:
        self._channel: Final = channel
        self._ends: Final = ends
        self._inward = bytearray()
        """From the channel, to be written to ``ends.writer``."""
        self._outward = memoryview(b"")
        """From ``ends.reader``, to be written to the channel."""
        self._reading: Pending[Rread] | None = None
        self._writing: Pending[Rwrite] | None = None
        self._client_ended = False
        self._local_ended = False
        self._deadline: float | None = None

    def run(self) -> str:
        """Relay until one side has hung up, and say which.

        Raises ``OSError`` where the share itself is lost.
        """
        client = self._channel.client
        try:
            while (end := self._step()) is None:
                self._wait()
                client.take()
        finally:
            pending = [each for each in (self._reading, self._writing) if each is not None]
            client.cancel(*pending)
        return end

    def _step(self) -> str | None:
        """Do what can be done now; why it is over, or ``None``."""
        self._from_channel()
        if not self._to_channel():
            return "the client has hung up"
        if self._local_ended and not self._outward:
            return "the other end has hung up"
        if self._client_ended and not self._inward and self._deadline is None:
            if self._ends.end_writing is None:
                return "the client has hung up"
            self._ends.end_writing()
            self._deadline = time.monotonic() + LAST_WORDS
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "the client has hung up"
        return None

    def _from_channel(self) -> None:
        """Keep a request to read in flight while there is room for its answer."""
        if self._reading is not None and self._reading.done:
            pending, self._reading = self._reading, None
            self._client_ended = not pending.result().count
        if self._reading is None and not self._inward and not self._client_ended:
            count = min(self._channel.max_io, PIECE)
            self._reading = self._channel.submit_read(0, count, self._take)

    def _take(self, parts: Slices) -> None:
        for part in parts:
            self._inward += part

    def _to_channel(self) -> bool:
        """Keep a request to write in flight while there is something; false if nobody takes it."""
        if self._writing is not None and self._writing.done:
            pending, self._writing = self._writing, None
            try:
                self._outward = self._outward[pending.result().count :]
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                return False
        if self._writing is None and self._outward:
            piece = self._outward[: min(self._channel.max_io, PIECE)]
            self._writing = self._channel.submit_write(0, piece)
        return True

    def _wait(self) -> None:
        """Wait for either side, and move what the local one has or takes."""
        wanted = self._channel.client.polled()
        ends = self._ends
        if self._inward:
            wanted[ends.writer] = select.POLLOUT
        if not self._outward and not self._local_ended:
            wanted[ends.reader] = wanted.get(ends.reader, 0) | select.POLLIN
        poll = select.poll()
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        left = None
        if self._deadline is not None:
            left = max(0.0, self._deadline - time.monotonic()) * 1000
        for descriptor, events in poll.poll(left):
            if descriptor == ends.writer and self._inward:
                self._write()
            if descriptor == ends.reader and events & ~select.POLLOUT and not self._outward:
                self._read()

    def _read(self) -> None:
        try:
            data = os.read(self._ends.reader, PIECE)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _HUNG_UP:
                raise
            data = b""
        self._outward = memoryview(data)
        self._local_ended = not data

    def _write(self) -> None:
        try:
            done = os.write(self._ends.writer, self._inward[: self._ends.most])
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in _HUNG_UP:
                raise
            self._local_ended = True
            self._inward.clear()
            return
        del self._inward[:done]
