"""A device as its process has opened it, behind all walls but the last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from backend.fileserver.connection import Connection
from backend.fileserver.counters import Counters
from backend.fileserver.lane import Lane
from backend.worker.control import Ready
from backend.worker.loop import HandingOver, ServiceLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.confinement.sandbox import Sandbox
    from backend.fileserver.session import Session
    from backend.trace import TraceWriter
    from backend.worker.rings import BoundRing
    from backend.worker.settings import WorkerSettings
    from backend.worker.supervision import Supervision
    from protocol.xenpv.ports import EventChannels, GrantMapper

L = TypeVar("L", bound=Lane)


class Device(NamedTuple):
    """Everything that one device is served with."""

    settings: WorkerSettings
    session: Session
    sandbox: Sandbox
    mapper: GrantMapper
    events: EventChannels
    rings: tuple[BoundRing, ...]
    supervision: Supervision
    trace: TraceWriter | None

    def lanes(self, kind: type[L]) -> list[L]:
        """One for each ring."""
        return [
            kind(ring.requests, ring.replies, partial(self.events.notify, ring.port))
            for ring in self.rings
        ]

    def connect(self, lanes: Sequence[Lane]) -> Connection:
        """The session, served over the rings."""
        return Connection(self.session, lanes, Counters(), self.trace)

    def wall_in(self) -> None:
        """Put up the last wall.  Raises ``Refused``."""
        self.sandbox.shut_in()

    def say_ready(self) -> None:
        """Tell the supervisor, ``wall_in`` being done."""
        order = max(ring.order for ring in self.rings)
        self.supervision.send(Ready(len(self.rings), order, self.sandbox.state))

    def serve(
        self, connection: Connection, covered: Callable[[], str | None] | None = None
    ) -> str | None:
        """Serve to the end, ``wall_in`` being done: why it came, or ``None`` when told to stop.

        With ``covered``, which says whether somebody could go on from here, raises ``HandingOver``;
        then nothing is given up.
        """
        ports = {ring.port: ring.number for ring in self.rings}
        loop = ServiceLoop(connection, self.events, ports, self.supervision)
        if covered is not None:
            loop.covered = covered
        try:
            reason = loop.run()
        except HandingOver:
            raise
        except BaseException:
            connection.close()
            raise
        connection.close()
        return reason
