"""The worker's event loop: event channels, the supervisor, and what requests wait for.

An event channel is unmasked only after its lane has been served (XSA-332): a frontend that notifies
without end is heard once per batch, and between batches the loop looks at everything else.  Events
that announce nothing, many in a row, have the channel rest for a moment, as Linux's own backends do
(``xen_irq_lateeoi``): their sender has no more of the CPU than it has work.
"""

from __future__ import annotations

import os
import select
from time import monotonic
from typing import TYPE_CHECKING, Final

from backend.worker.control import ControlError, HandOver, Kept, Query, Report, Stop
from protocol.xenpv.ring import RingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backend.fileserver.connection import Connection
    from backend.worker.supervision import Supervision
    from protocol.xenpv.ids import Evtchn
    from protocol.xenpv.ports import EventChannels

HELD_POLL: Final = 0.02
"""Seconds between looks at what no event announces: a frontend that must read before more can be
sent, and may not tell; whatever a request is parked for."""

MOST_EMPTY: Final = 32
"""Events in a row that brought no request, after which a channel rests.  A frontend that tells us
of each reply it has read sends one or two between its requests."""

REST: Final = 0.002
"""Seconds; whoever flooded and then means it waits so long for the first answer."""


class HandingOver(Exception):  # noqa: N818 -- an order, not an error
    """Another process is to go on with all that this one has, which is as the last commit says."""

    def __init__(self, descriptor: int) -> None:
        """``descriptor`` leads to that process."""
        super().__init__(descriptor)
        self.descriptor: Final = descriptor


def _not_covered() -> str | None:
    return "no journal is kept of it"


class _Ring:
    """A lane of the connection, and its event channel."""

    __slots__ = ("empty", "lane", "masked", "port")

    def __init__(self, lane: int, port: Evtchn) -> None:
        self.lane: Final = lane
        self.port: Final = port
        self.masked = False
        """An event was taken, and none comes before ``unmask``."""
        self.empty = 0
        """Events in a row that brought no request."""


class ServiceLoop:
    """Serves one device until it is told to stop or cannot go on."""

    def __init__(
        self,
        connection: Connection,
        events: EventChannels,
        ports: Mapping[Evtchn, int],
        supervision: Supervision,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``ports`` says which lane each event channel belongs to; ``clock`` counts seconds."""
        self._connection = connection
        self._counters = connection.counters
        self._events = events
        # Both stay the same, and a turn is taken for each request.
        self._events_fd = events.fileno()
        self._watched = connection.watched
        self._rings = [_Ring(lane, port) for port, lane in ports.items()]
        self._ring_of = {ring.port: ring for ring in self._rings}
        self._supervision = supervision
        self._clock = clock
        self.covered: Callable[[], str | None] = _not_covered
        """Says why another process could not go on from the last commit."""
        self._busy: list[_Ring] = []
        """With work; masked, but for those that were looked at without an event."""
        self._resting: dict[_Ring, float] = {}
        """Until when these stay masked."""
        self._stopped = False

    def run(self) -> str | None:
        """Serve.  The reason why it cannot go on, or ``None`` when told to stop.

        Raises ``HandingOver``.
        """
        with self.watch() as poll:
            try:
                while not self._stopped:
                    self.turn(poll)
            except RingError as error:
                return str(error)
            except EOFError:
                return None  # the supervisor is gone, before the device was Connected
            except OSError as error:
                return f"event channel: {error.strerror}"
        return None

    def watch(self) -> select.epoll:
        """What ``turn`` waits on."""
        poll = select.epoll()
        for fd in (self._events_fd, self._supervision.fileno(), *self._watched):
            poll.register(fd, select.EPOLLIN)
        # Every lane is looked at once: a mount can come before Connected.
        self._busy = list(self._rings)
        for ring in self._rings:
            ring.masked = True  # a worker before this one may have ended with any of them so
        return poll

    def turn(self, poll: select.epoll) -> None:
        """Wait until something is due, and do it.  Raises what ends ``run``."""
        soon = self._timeout() if self._busy or self._resting else None
        if soon is None and self._connection.held():
            soon = HELD_POLL
        for fd, _ in poll.poll(soon):
            if fd == self._events_fd:
                self._take_events()
            elif fd in self._watched:
                self._watched[fd]()
            else:
                self._take_orders()
        if not self._stopped:
            if self._resting:
                self._end_rests()
            self._serve()

    def _timeout(self) -> float:
        if self._busy:
            return 0
        rest = max(0.0, min(self._resting.values()) - self._clock())
        return min(HELD_POLL, rest) if self._connection.held() else rest

    def _take_events(self) -> None:
        # One, although more may be pending: they keep the descriptor readable, and to ask for what
        # mostly is not there would cost each request a system call.
        port = self._events.pending()
        ring = None if port is None else self._ring_of.get(port)
        if ring is not None:
            ring.masked = True
            if ring not in self._busy:
                self._busy.append(ring)

    def _take_orders(self) -> None:
        try:
            order = self._supervision.receive()
        except ControlError:
            return
        if isinstance(order, Stop):
            self._stopped = True
        elif isinstance(order, Query):
            self._supervision.send(Report(order.number, self._figures()))
        elif isinstance(order, HandOver) and self._supervision.handing is not None:
            self._hand_over(self._supervision.handing)

    def _hand_over(self, descriptor: int) -> None:
        """Between two turns no request is half done: all that is answered was committed.

        Raises ``HandingOver``.
        """
        self._supervision.handing = None
        why = self.covered()
        if why is None:
            raise HandingOver(descriptor)
        os.close(descriptor)
        self._supervision.send(Kept(why))

    def _serve(self) -> None:
        rings, self._busy = self._busy or self._rings, []
        for ring in rings:
            before = self._counters.requests
            more = self._connection.service(ring.lane)
            if self._counters.requests != before:
                ring.empty = 0
            if more:
                self._busy.append(ring)
            elif ring.masked and ring not in self._resting:
                # Hear of the next event of a ring that was served, or not before it has rested.
                ring.empty += 1
                if ring.empty > MOST_EMPTY:
                    self._resting[ring] = self._clock() + REST
                else:
                    self._unmask(ring)

    def _unmask(self, ring: _Ring) -> None:
        # What came while it was masked is kept, and makes it pending at once.
        ring.masked = False
        self._events.unmask(ring.port)

    def _end_rests(self) -> None:
        now = self._clock()
        for ring in [ring for ring, end in self._resting.items() if end <= now]:
            del self._resting[ring]
            self._unmask(ring)
            if ring not in self._busy:
                self._busy.append(ring)  # a request may have come meanwhile

    def _figures(self) -> dict[str, int | str | None]:
        session, counters = self._connection.session, self._connection.counters
        dialect = session.dialect
        return {
            "dialect": None if dialect is None else dialect.value.decode(),
            "msize": session.msize,
            "fids": session.limits.fids.used,
            "open_files": session.limits.open_files.used,
            "requests": counters.requests,
            "errors": counters.errors,
            "malformed": counters.malformed,
            "unforeseen": counters.unforeseen,
            "bytes_read": counters.bytes_read,
            "bytes_written": counters.bytes_written,
            "process": os.getpid(),
        }
