"""Carries bytes between two connected sockets of Dom0, both ways, until one side is gone."""

from __future__ import annotations

import select
import socket
from typing import Final

_ROOM: Final = 64 * 1024
"""Bytes that are kept for a side that does not take them; whoever sends more has to wait."""

_GONE: Final = select.POLLHUP | select.POLLERR


def relay(client: socket.socket, channel: socket.socket) -> None:
    """Until ``channel`` has ended and ``client`` has all it sent, or ``client`` takes nothing more.

    A client that only says that it sends no more (``socat`` at the end of its input) still gets
    its answers.  What one that has left said last is passed on as far as ``channel`` has room: a
    guest that does not read must not hold up the next client.  Both sockets are made
    non-blocking, and closed by the caller.
    """
    requests, answers = _Flow(client, channel), _Flow(channel, client)
    for each in (client, channel):
        each.setblocking(False)
    while not answers.done:
        poll = select.poll()
        at_client = requests.wants_to_read | answers.wants_to_write
        at_channel = answers.wants_to_read | requests.wants_to_write
        # A side that is gone is reported all the time, so it is asked only while that matters.
        if at_client or requests.done:
            poll.register(client, at_client)
        if at_channel:
            poll.register(channel, at_channel)
        ready = dict(poll.poll())
        requests.step()
        answers.step()
        if ready.get(client.fileno(), 0) & _GONE and requests.done:
            return
    while requests.step():
        pass


class _Flow:
    """One direction."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self._source: Final = source
        self._sink: Final = sink
        self._kept = b""
        self._ended = False
        """The source sends no more."""
        self.done = False
        """The sink was told so, after all that was sent; or takes nothing more."""

    @property
    def wants_to_read(self) -> int:
        """The event to wait for at the source."""
        return 0 if self._ended or self.done or len(self._kept) >= _ROOM else select.POLLIN

    @property
    def wants_to_write(self) -> int:
        """The event to wait for at the sink."""
        return select.POLLOUT if self._kept else 0

    def step(self) -> bool:
        """Carry what can be carried now; whether there was anything new, and all of it went."""
        if self.done:
            return False
        try:
            new = self._read()
            while self._kept:
                self._kept = self._kept[self._sink.send(self._kept, socket.MSG_NOSIGNAL) :]
            if self._ended:
                self.done = True
                self._sink.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        except OSError:  # the sink hung up
            self._kept = b""
            self._ended = self.done = True
            return False
        return new

    def _read(self) -> bool:
        if self._ended or len(self._kept) >= _ROOM:
            return False
        try:
            data = self._source.recv(_ROOM - len(self._kept))
        except BlockingIOError:
            return False
        except ConnectionResetError:  # it left without reading all that it was sent
            data = b""
        self._kept += data
        self._ended = not data
        return not self._ended
