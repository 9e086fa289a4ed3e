"""One client's socket: never waited for, its unsent output bounded.

A client that asks faster than it reads is not read from until it does.  One that lets events pile
up is disconnected: nothing may wait for it, and events cannot be dropped behind its back.
"""

from __future__ import annotations

import selectors
from collections import deque
from typing import TYPE_CHECKING, Protocol

from backend.platform.embedded.xenstore_requests import answer
from backend.platform.embedded.xenstore_session import DomainControl, Session
from backend.platform.embedded.xenstore_wire import Decoder, Op, Packet, WireError

if TYPE_CHECKING:
    import socket

    from backend.platform.embedded.xenstore_state import State

RECEIVE_SIZE = 64 * 1024
"""Bytes taken per turn, so that one busy client leaves turns for the others."""

PAUSE_OUTPUT = 64 * 1024
"""Unsent bytes above which a client's requests wait."""

MAX_OUTPUT = 1024 * 1024
"""Unsent bytes at which a client is given up."""


class Host(DomainControl, Protocol):
    """The server, as its connections know it."""

    @property
    def selector(self) -> selectors.BaseSelector:
        """Where sockets are registered."""

    @property
    def state(self) -> State:
        """What the sessions work on."""

    def closed(self, connection: Connection) -> None:
        """Told once, when a connection has been closed."""


class Connection:
    """A client's socket, its session, and the bytes between them."""

    def __init__(self, sock: socket.socket, domid: int, host: Host) -> None:
        """Takes ``sock`` over."""
        sock.setblocking(False)
        self._sock = sock
        self._host = host
        self._input = Decoder()
        self._output: deque[bytes] = deque()
        self._events: set[bytes] = set()
        self._unsent = 0
        self._mask = selectors.EVENT_READ
        self._busy = False
        self.session = Session(host.state, domid, host, self._send)
        host.selector.register(sock, self._mask, self.ready)

    @property
    def domid(self) -> int:
        """The domain at the other end."""
        return self.session.domid

    @property
    def alive(self) -> bool:
        """False once closed."""
        return self._sock.fileno() >= 0

    def ready(self, mask: int) -> None:
        """The selector's handler."""
        if mask & selectors.EVENT_WRITE:
            self._flush()
        if self.alive and mask & selectors.EVENT_READ:
            self._receive()
        if self.alive:
            self._serve()

    def close(self) -> None:
        """Hang up; watches and transactions go.  Harmless when done already."""
        if not self.alive:
            return
        self._host.selector.unregister(self._sock)
        self._sock.close()
        self.session.reset()
        self._output.clear()
        self._events.clear()
        self._host.closed(self)

    def _receive(self) -> None:
        try:
            data = self._sock.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._input.feed(data)
        else:
            self.close()

    def _serve(self) -> None:
        """Answer what has been received, as far as the output has room."""
        try:
            while self.alive and self._answer_some():
                self._flush()
        except WireError:
            self.close()

    def _answer_some(self) -> bool:
        """Whether to come back: something was answered and there may be more."""
        answered = False
        self._busy = True
        try:
            while self.alive and self._unsent <= PAUSE_OUTPUT:
                request = self._input.next()
                if request is None:
                    break
                answer(self.session, request)
                answered = True
        finally:
            self._busy = False
        return answered

    def _send(self, packet: Packet) -> None:
        """Queue a packet.  An event that waits to be sent already is not queued again."""
        if not self.alive:
            return
        data = packet.encode()
        if packet.op == Op.WATCH_EVENT and packet.payload[:1] != b"@":
            if data in self._events:
                return
            self._events.add(data)
        self._output.append(data)
        self._unsent += len(data)
        if self._unsent > MAX_OUTPUT:
            self.close()
        elif not self._busy:
            self._flush()

    def _flush(self) -> None:
        """Send what the socket takes, and set what to wait for next."""
        if not self.alive:
            return
        try:
            while self._output:
                sent = self._sock.send(self._output[0])
                self._unsent -= sent
                data = self._output.popleft()
                self._events.discard(data)
                if sent < len(data):
                    self._output.appendleft(data[sent:])
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        mask = selectors.EVENT_WRITE if self._output else 0
        if self._unsent <= PAUSE_OUTPUT:
            mask |= selectors.EVENT_READ
        if mask != self._mask:
            self._mask = mask
            self._host.selector.modify(self._sock, mask, self.ready)
