"""A device as its process has opened it, behind all walls but the last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from backend.fileserver.connection import Connection
from backend.fileserver.counters import Counters
from backend.fileserver.lane import Lane
from backend.worker.control import Ready
from backend.worker.loop import ServiceLoop

if TYPE_CHECKING:
    from backend.confinement.sandbox import Sandbox
    from backend.fileserver.session import Session
    from backend.trace import TraceWriter
    from backend.worker.rings import BoundRing
    from backend.worker.settings import WorkerSettings
    from backend.worker.supervision import Supervision
    from protocol.xenpv.ports import EventChannels, GrantMapper


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

    def connect(self) -> Connection:
        """The session, served over the rings."""
        lanes = [
            Lane(ring.requests, ring.replies, partial(self.events.notify, ring.port))
            for ring in self.rings
        ]
        return Connection(self.session, lanes, Counters(), self.trace)

    def wall_in(self) -> None:
        """Put up the last wall, and say so.  Raises ``Refused``."""
        walls = self.sandbox.shut_in()
        ready = Ready(len(self.rings), max(ring.order for ring in self.rings), walls)
        self.supervision.send(ready)

    def serve(self, connection: Connection) -> str | None:
        """Serve to the end, ``wall_in`` being done: why it came, or ``None`` when told to stop."""
        ports = {ring.port: ring.number for ring in self.rings}
        try:
            return ServiceLoop(connection, self.events, ports, self.supervision).run()
        finally:
            connection.close()
