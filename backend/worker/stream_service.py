"""Serves one client on a connected socket, without Xen: the same pump, another lane."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final

from backend.fileserver.connection import Connection
from backend.fileserver.counters import Counters
from backend.fileserver.lane import Lane
from backend.fileserver.stream import StreamClosed, StreamSink, StreamSource
from backend.worker.loop import HELD_POLL
from protocol.xenpv.ring import RingError

if TYPE_CHECKING:
    import socket

    from backend.fileserver.session import Session
    from backend.trace import TraceWriter

_ENDED: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class StreamService:
    """One connection from its first byte to its last."""

    def __init__(
        self, client: socket.socket, session: Session, ring_bytes: int, trace: TraceWriter | None
    ) -> None:
        """``ring_bytes``, a power of two, is what lies ready each way; a message has to fit it."""
        client.setblocking(False)
        self._client = client
        self._source = StreamSource(ring_bytes)
        self._sink = StreamSink(ring_bytes)
        lane = Lane(self._source, self._sink, lambda: self._sink.flush(client))
        self._connection = Connection(session, [lane], Counters(), trace)

    def run(self, life_fd: int) -> str:
        """Serve until the client or ``life_fd`` hangs up; why it ended."""
        connection = self._connection
        poll = select.poll()
        watched = connection.watched
        for fd in watched:
            poll.register(fd, select.POLLIN)
        poll.register(life_fd, 0)  # its hang-up alone is of interest
        client_fd = self._client.fileno()
        again = False
        try:
            while True:
                wanted = select.POLLIN if self._source.has_room() else 0
                wanted |= select.POLLOUT if self._sink.pending() else 0
                poll.register(client_fd, wanted)
                held = connection.held()
                for fd, events in poll.poll(0 if again else HELD_POLL * 1000 if held else None):
                    if fd == life_fd:
                        return "the server stops"
                    if fd in watched:
                        watched[fd]()
                    elif events & select.POLLIN:
                        self._source.fill(self._client)
                    elif events & _ENDED:
                        return "hung up"
                again = self._serve()
        except StreamClosed as ended:
            return str(ended)
        except RingError as error:
            return f"not 9P: {error}"
        finally:
            connection.close()

    def _serve(self) -> bool:
        """A batch, and what can be sent; true when more can be done at once."""
        more = self._connection.service(0)
        before = self._sink.pending()
        self._sink.flush(self._client)
        # Replies that waited for room have it now.
        return more or (self._connection.held() and self._sink.pending() < before)
