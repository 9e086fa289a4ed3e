"""A device's upgrade: a worker of this program's code takes it over from one that serves it.

Rules:

- The one that serves is asked for nothing before the other is behind its walls and waits.
- Before the other may serve it is on record, and the record names both: whatever becomes of this
  supervisor, the next one finds the one of the two that goes on.
- Who serves, these two agree between themselves (``worker.handover``).  Here it is believed that
  the device has changed hands when the new one says so, and that it has not when that one has
  ended: then the old one goes on, as it does whenever it is not told the last word.
"""

from __future__ import annotations

import logging
import socket
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.supervisor.adoption import disagreement, put_on_record
from backend.supervisor.fork_server import WorkerError
from backend.supervisor.policy import WorkerPhase
from backend.supervisor.workers import Worker
from backend.worker.control import Kept, Prepared, Serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.supervisor.keys import DeviceKey
    from backend.supervisor.nodes import DeviceNodes, Seen
    from backend.supervisor.records import Record
    from backend.supervisor.services import Services
    from backend.worker.settings import WorkerSettings

log = logging.getLogger(__name__)

RESTART: Final = "detach and attach the share, or restart the guest"
AGAIN: Final = "try again"
LOOK: Final = "see xen-fileproxy list"


class Outcome(NamedTuple):
    """What came of it."""

    upgraded: bool
    reason: str | None = None
    """Why not."""
    remedy: str | None = None
    pause: float | None = None
    """Seconds in which nobody served."""


def obstacle(phase: WorkerPhase, *, recovers: bool, on_record: bool, busy: bool) -> Outcome | None:
    """Why a device cannot be upgraded as it is now; ``None``: it can be."""
    if phase is WorkerPhase.NONE:
        return Outcome(False, "no worker serves it", LOOK)
    if phase is not WorkerPhase.SERVING:
        return Outcome(False, f"its worker is {phase.name.lower()}", AGAIN)
    if not recovers:
        return Outcome(
            False,
            "its worker was started without recovery",
            f"set recovery = true, then {RESTART}",
        )
    if busy:
        return Outcome(False, "it is being upgraded already", AGAIN)
    if not on_record:
        return Outcome(False, "it is not connected yet", AGAIN)
    return None


class _Stage(Enum):
    PREPARING = auto()
    HANDING_OVER = auto()
    SETTLING = auto()
    """The new one is on record, and may serve."""
    OVER = auto()


class Upgrade:
    """One device's, from its first step to its last."""

    def __init__(
        self,
        key: DeviceKey,
        worker: Worker,
        record: Record,
        services: Services,
        *,
        done: Callable[[Outcome], None],
        changed: Callable[[], None],
    ) -> None:
        """``done`` is called once, when one of the two workers has ended or is about to.

        From then on ``changed`` is called whenever the phase of the one that took over has changed.
        """
        self._key = key
        self._worker = worker
        self._before = record
        self._services = services
        self._done = done
        self._changed = changed
        self._stage = _Stage.PREPARING
        self.settings: WorkerSettings | None = None
        self._seen: Seen | None = None
        self._line: socket.socket | None = None
        self._asked = 0.0
        self.record = record
        """Of the one that goes on."""
        self.successor: Worker | None = None

    def begin(self, nodes: DeviceNodes, seen: Seen) -> None:
        """Start the new worker.  Raises ``OSError`` as a store does."""
        services = self._services
        why = disagreement(self._before, nodes, seen, services)
        if why is not None:
            self._end(Outcome(False, why, RESTART))
            return
        offers = nodes.read_rings(seen, services.offer)
        settings = services.worker_settings(self._key, nodes.read_share(), offers)
        if not settings.recovery:
            self._end(Outcome(False, "recovery is off in the configuration", "set recovery = true"))
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                process, control = services.forks.start(settings, theirs)
            except WorkerError as error:
                ours.close()
                self._end(Outcome(False, f"no worker can be started: {error}", AGAIN))
                return
        self.settings, self._seen, self._line = settings, seen, ours
        timeouts = services.config.timeouts
        successor = Worker(
            *(str(self._key), process, control, services.reactor, timeouts), changed=self._look
        )
        successor.recovers = True
        successor.announced = self._hear
        self.successor = successor
        self._worker.announced = self._hear_old

    def predecessor_ended(self) -> None:
        """It can hand nothing over any more."""
        if self._stage is _Stage.PREPARING and self.successor is not None:
            self.successor.give_up("the old worker has ended")

    def abandon(self) -> None:
        """Leave it to the old worker, if that has not given all away yet."""
        if self.successor is not None and self._stage is not _Stage.OVER:
            self.successor.kill()

    def leave(self) -> None:
        """The supervisor ends: let the two agree, if they may already."""
        if self._stage is not _Stage.SETTLING:
            self.abandon()

    def _hear(self, message: Prepared | Serving | Kept) -> None:
        if isinstance(message, Prepared) and self._stage is _Stage.PREPARING:
            self._hand_over()
        elif isinstance(message, Serving) and self._stage is _Stage.SETTLING:
            self._succeeded()

    def _hear_old(self, message: Prepared | Serving | Kept) -> None:
        if isinstance(message, Kept) and self.successor is not None:
            self.successor.give_up(message.reason)

    def _hand_over(self) -> None:
        assert self._line is not None  # noqa: S101 -- made with the successor
        self._stage = _Stage.HANDING_OVER
        self._asked = self._services.reactor.now()
        with self._line:
            heard = self._worker.hand_over(self._line.fileno())
        if not heard and self.successor is not None:
            self.successor.give_up("the old worker does not answer")

    def _look(self) -> None:
        """The new worker's phase has changed."""
        successor = self.successor
        if successor is None:
            return
        if self._stage is _Stage.OVER:
            self._changed()
        elif successor.phase is WorkerPhase.SERVING and self._stage is _Stage.HANDING_OVER:
            self._put_on_record(successor)
        elif successor.phase is WorkerPhase.NONE:
            self._failed(successor.failure or "the new worker ended")

    def _put_on_record(self, successor: Worker) -> None:
        """After that the next supervisor knows of both, and this one may be the one to serve."""
        assert self.settings is not None and self._seen is not None  # noqa: S101, PT018 -- begun
        self._stage = _Stage.SETTLING
        key, services = self._key, self._services
        try:
            record = put_on_record(
                *(key, successor, self.settings, self._seen, services), predecessor=self._before
            )
        except OSError as error:
            record, why = None, f"no record can be written: {error.strerror}"
        else:
            why = "the new worker has ended"
        if record is None:
            successor.give_up(why)
            return
        self.record = record
        limit = services.config.timeouts.start
        services.reactor.after(limit, lambda: self._too_late(limit))

    def _too_late(self, limit: float) -> None:
        if self._stage is _Stage.SETTLING and self.successor is not None:
            self.successor.give_up(f"the old worker did not let go within {limit:g} s")

    def _succeeded(self) -> None:
        assert self.successor is not None  # noqa: S101 -- it said so
        self.record = self.record._replace(predecessor=None)
        self._write()
        self._services.records.remove_socket(self._key, self._before.pid)
        self._worker.replaced()
        self._end(Outcome(True, pause=self._services.reactor.now() - self._asked))

    def _failed(self, why: str) -> None:
        assert self.successor is not None  # noqa: S101 -- it has ended
        if self.record is not self._before:
            self.record = self._before
            self._write()
        self._services.records.remove_socket(self._key, self.successor.pid)
        self.successor = None
        self._end(Outcome(False, why, AGAIN))

    def _write(self) -> None:
        """Where it cannot be written, the one that is there names both, which is true enough."""
        try:
            self._services.records.write(self._key, self.record)
        except OSError as error:
            log.warning("%s: its record: %s", self._key, error.strerror)

    def _end(self, outcome: Outcome) -> None:
        self._stage = _Stage.OVER
        self._worker.announced = lambda _: None
        if self._line is not None:
            self._line.close()
        self._done(outcome)
