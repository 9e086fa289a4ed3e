"""9P over a stream socket: for ``xen-fileproxy serve --listen``, and for any other 9P server."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING

from frontend_stub.transport import FRAME_HEADER, bad_size
from protocol.ninep.codec import FIXED_SIZE, HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frontend_stub.transport import Buffer, Deliver

MAX_MSIZE = 512 * 1024
"""What Linux uses at most on any transport that we serve."""

_IOV_MAX = 1024
"""``sendmsg`` takes no more pieces at once (Linux ``UIO_MAXIOV``)."""


class SocketTransport:
    """A connected stream socket, which it owns from then on."""

    def __init__(self, connection: socket.socket, name: str, max_msize: int = MAX_MSIZE) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._name = name
        self._max_msize = self._limit = max_msize
        self._unsent: list[memoryview] = []
        # Replies are parsed where the kernel put them: at most one copy more, into the sink.
        self._buffer = memoryview(bytearray(2 * max_msize))
        self._start = self._end = 0
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    @classmethod
    def connect(cls, address: str, timeout: float = 10.0) -> SocketTransport:
        """Connect to ``unix:PATH`` or ``tcp:HOST:PORT``.

        Raises ``ValueError`` for any other form, ``OSError`` (errno, text, address) when nobody
        answers within ``timeout`` seconds.
        """
        kind, _, rest = address.partition(":")
        try:
            if kind == "unix" and rest:
                connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    connection.settimeout(timeout)
                    connection.connect(rest)
                except BaseException:
                    connection.close()
                    raise
            elif kind == "tcp" and rest.rpartition(":")[0]:
                host, _, port = rest.rpartition(":")
                if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                    raise ValueError(f"{address}: the port must be a number from 1 to 65535")
                connection = socket.create_connection((host.strip("[]"), int(port)), timeout)
                # A request is one write; waiting for more only delays it.
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            else:
                raise ValueError(f"{address}: must be unix:PATH or tcp:HOST:PORT")
        except OSError as error:
            number = errno.ETIMEDOUT if isinstance(error, TimeoutError) else error.errno
            if number is None or number < 0:  # name resolution has its own negative numbers
                number = errno.EHOSTUNREACH
            raise OSError(number, error.strerror or str(error), address) from error
        return cls(connection, address)

    @property
    def name(self) -> str:
        """The address."""
        return self._name

    @property
    def max_msize(self) -> int:
        """The largest message, in bytes."""
        return self._max_msize

    def limit_replies(self, msize: int) -> None:
        """From now on a reply of more than ``msize`` bytes is a broken protocol."""
        self._limit = msize

    def try_send(self, tag: int, frame: bytes, payload: Sequence[Buffer]) -> bool:
        """Send, or keep for sending, unless an earlier request still waits for room."""
        del tag  # a stream has one order for all
        if self._unsent and not self._send_rest():
            return False
        self._unsent = [memoryview(frame)]
        self._unsent += [memoryview(part).cast("B") for part in payload if len(part)]
        self._send_rest()
        return True

    def flush(self) -> None:
        """Send on what the socket had no room for, as far as it goes now."""
        if self._unsent:
            self._send_rest()

    def _send_rest(self) -> bool:
        while self._unsent:
            try:
                sent = self._socket.sendmsg(self._unsent[:_IOV_MAX], (), socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return False
            except BrokenPipeError as error:
                raise self._closed() from error
            while self._unsent and sent >= len(self._unsent[0]):
                sent -= len(self._unsent.pop(0))
            if sent:
                self._unsent[0] = self._unsent[0][sent:]
        return True

    def receive(self, deliver: Deliver) -> int:
        """Hand over every reply that has arrived whole; send on what had no room before."""
        if self._unsent:
            self._send_rest()
        count = self._deliver_whole(deliver)
        while not count:
            if self._end == len(self._buffer):
                # A whole reply would have been delivered, so less than half is in use.
                rest = self._end - self._start
                self._buffer[:rest] = self._buffer[self._start : self._end]
                self._start, self._end = 0, rest
            try:
                received = self._socket.recv_into(self._buffer[self._end :])
            except BlockingIOError:
                return 0
            if not received:
                raise self._closed()
            self._end += received
            count = self._deliver_whole(deliver)
        return count

    def _deliver_whole(self, deliver: Deliver) -> int:
        count = 0
        while (have := self._end - self._start) >= HEADER_SIZE:
            size, kind = FRAME_HEADER.unpack_from(self._buffer, self._start)
            if not HEADER_SIZE <= size <= self._limit:
                raise bad_size(self._name, size, self._limit)
            if size > have:
                break
            # A short frame of a payload type goes to the decoder whole, which refuses it.
            fixed = min(FIXED_SIZE.get(kind, size), size)
            start, self._start = self._start, self._start + size
            payload = (self._buffer[start + fixed : start + size],) if fixed < size else ()
            deliver(bytes(self._buffer[start : start + fixed]), size, payload)
            count += 1
        if self._start == self._end:
            self._start = self._end = 0
        return count

    def wait(self, seconds: float) -> None:
        """Wait until the socket has something, or room for what it had none for."""
        for descriptor, wanted in self.polled().items():
            self._poll.modify(descriptor, wanted)
        self._poll.poll(max(0, seconds) * 1000)

    def polled(self) -> dict[int, int]:
        """The socket; for room too, where something waits for it."""
        return {self._socket.fileno(): select.POLLIN | (select.POLLOUT if self._unsent else 0)}

    def _closed(self) -> ConnectionResetError:
        return ConnectionResetError(
            errno.ECONNRESET, "the server closed the connection", self._name
        )

    def close(self) -> None:
        """Close the socket; idempotent."""
        self._unsent = []
        self._socket.close()
