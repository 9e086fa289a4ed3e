"""A connected stream socket with the face of a pair of byte rings: ``serve`` without Xen.

The kernel's socket stands where the shared page is; each direction has a private ring between.
``fill`` and ``flush`` move bytes between the two and never wait; the rest is what
``protocol.xenpv.ring`` offers, so that one pump serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

RING_BYTES: Final = 1 << 21
"""Each direction; the largest message (``limits.max-msize``, 1 MiB at most) fits twice."""

Slices = tuple[memoryview, ...]


class StreamClosed(Exception):  # noqa: N818 -- the ordinary end of a connection
    """The peer has hung up, or the connection broke."""


class _PrivateRing:
    """Bytes between two free-running counters, in a buffer nobody else can touch."""

    __slots__ = ("_data", "_mask", "cons", "prod", "size")

    def __init__(self, size: int) -> None:
        if size <= 0 or size & (size - 1):
            raise ValueError(f"a ring of {size} bytes: the size must be a power of two")
        self._data = memoryview(bytearray(size))
        self._mask = size - 1
        self.size: Final = size
        self.cons = 0
        self.prod = 0

    def _views(self, start: int, length: int) -> Slices:
        start &= self._mask
        end = start + length
        if end <= self.size:
            return (self._data[start:end],)
        return (self._data[start:], self._data[: end - self.size])


class StreamSource(_PrivateRing):
    """The consumer's end: what the peer has sent and the pump has not yet taken."""

    __slots__ = ()

    def available(self) -> int:
        """Bytes that lie ready."""
        return self.prod - self.cons

    def peek(self, length: int, at: int = 0) -> bytes:
        """A copy of ``length`` bytes that begin ``at`` bytes on."""
        return b"".join(self._views(self.cons + at, length))

    def slices(self, at: int, length: int) -> Slices:
        """Views of ``length`` bytes that begin ``at`` bytes on: one, or two at the wrap."""
        return self._views(self.cons + at, length)

    def advance(self, length: int) -> None:
        """Give ``length`` bytes of room back."""
        self.cons += length

    def has_room(self) -> bool:
        """Whether ``fill`` could take anything."""
        return self.prod - self.cons < self.size

    def fill(self, connection: socket.socket) -> None:
        """Take what the non-blocking socket has.  Raises ``StreamClosed``."""
        room = self.size - (self.prod - self.cons)
        if not room:
            return
        try:
            count = connection.recvmsg_into(self._views(self.prod, room))[0]
        except BlockingIOError:
            return
        except OSError as error:
            raise StreamClosed(error.strerror) from None
        if not count:
            raise StreamClosed("hung up")
        self.prod += count


class StreamSink(_PrivateRing):
    """The producer's end: replies that the socket has not yet taken."""

    __slots__ = ()

    def free(self) -> int:
        """Bytes that may be written."""
        return self.size - (self.prod - self.cons)

    def offer(self, data: bytes) -> bool:
        """Copy ``data`` behind the last published byte, if there is room for all of it."""
        if self.free() < len(data):
            return False
        self.put(0, data)
        return True

    def slices(self, at: int, length: int) -> Slices:
        """Views of ``length`` bytes that begin ``at`` bytes after the last published one."""
        return self._views(self.prod + at, length)

    def put(self, at: int, data: bytes) -> None:
        """Copy ``data`` to ``at`` bytes after the last published one."""
        done = 0
        for view in self._views(self.prod + at, len(data)):
            view[:] = data[done : done + len(view)]
            done += len(view)

    def advance(self, length: int) -> None:
        """Publish: ``flush`` may send it."""
        self.prod += length

    def pending(self) -> int:
        """Bytes that still have to go."""
        return self.prod - self.cons

    def flush(self, connection: socket.socket) -> None:
        """Send what the non-blocking socket takes.  Raises ``StreamClosed``."""
        while self.cons < self.prod:
            try:
                self.cons += connection.sendmsg(self._views(self.cons, self.prod - self.cons))
            except BlockingIOError:
                return
            except OSError as error:
                raise StreamClosed(error.strerror) from None
