"""One device: carries out what ``policy`` decides, with XenStore's nodes and a worker."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from backend.channel.listening import sweep
from backend.logs import DeviceLog
from backend.supervisor.adoption import adopt, disagreement, put_on_record, serving_one
from backend.supervisor.closing import Closing
from backend.supervisor.fork_server import WorkerError
from backend.supervisor.frontend_watch import FrontendWatch
from backend.supervisor.nodes import DeviceNodes, NodeError
from backend.supervisor.policy import Export, Move, View, WorkerPhase, last_move, next_move
from backend.supervisor.records import Record
from backend.supervisor.upgrade import Upgrade, obstacle
from backend.supervisor.workers import Worker
from backend.worker.control import shortened
from protocol.xenpv.device import HandshakeError
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.supervisor.keys import DeviceKey
    from backend.supervisor.nodes import Seen
    from backend.supervisor.records import Remains
    from backend.supervisor.services import Services
    from backend.supervisor.upgrade import Outcome
    from backend.worker.settings import WorkerSettings

_MOVES_PER_LOOK: Final = 8
"""More than any conversation needs; a device that wants more waits for its next turn."""

_LAST_CLOSE: Final = 1.0
"""Seconds that a frontend has to follow to Closed when the supervisor leaves: those that live do it
in milliseconds, and whoever stops a service waits for it."""

_CLAIMS: Final = {
    Move.SAY_CONNECTED: XenbusState.CONNECTED,
    Move.SAY_CLOSING: XenbusState.CLOSING,
    Move.SAY_CLOSED: XenbusState.CLOSED,
}


class Device:
    """A device that was seen below our root.

    ``wake`` asks the supervisor to call ``look`` soon; nothing here calls itself.
    """

    def __init__(self, key: DeviceKey, services: Services, wake: Callable[[], None]) -> None:
        self.key: Final = key
        self.log: Final = DeviceLog(logging.getLogger(__name__), str(key))
        self.worker: Worker | None = None
        self.seen: Seen | None = None
        self.shown: str | None = None
        """What it shares, for people; of a share that is described wrongly, its path."""
        self.domain: str | None = None
        """What the domain was called when the device appeared."""
        self.error: str | None = None
        """Why it was closed, until it is announced again."""
        self.gone = False
        """Its nodes, or its domain, are away, and nothing is left of it here."""
        self.retiring = False
        """The supervisor is about to leave."""
        self._services = services
        self._nodes = DeviceNodes(services.store, services.root, key)
        self._wake = wake
        self._watch = FrontendWatch(services.store, services.reactor, str(key), self.log, wake)
        self._export = Export.UNCHECKED
        self._why_bad = ""
        self._failure: str | None = None
        """Why the last worker ended, until XenStore has been told."""
        self._settings: WorkerSettings | None = None
        """What the worker was told, if we started it."""
        self._unexamined: Record | None = None
        """Of an adopted worker, until it is known that the device is still the same."""
        self._record: Record | None = None
        """Of the worker, once that is known, or once the device is Connected."""
        self._upgrade: Upgrade | None = None
        self._domain: bytes | None = None
        self._closing = Closing(services.reactor, wake)

    def adopt(self, record: Record | Remains) -> None:
        """Take over what an earlier supervisor has left, before the first look."""
        found, record = record, serving_one(record)
        if record is not found and isinstance(record, Record):
            self._services.records.write(self.key, record)
        self.worker = adopt(self.key, record, self._services, self._wake)
        if isinstance(record, Record):
            self._domain = os.fsencode(record.domain)
            self._unexamined = record
        if self.worker is None:
            self._failure = "its worker ended while no supervisor ran"
            self._services.records.remove(self.key, record.pid)
            self._unexamined = None

    @property
    def quiet(self) -> bool:
        """Nothing runs and nothing is claimed: the supervisor may leave."""
        busy = (XenbusState.CONNECTED, XenbusState.CLOSING)
        return self.idle and (self.gone or self.seen is None or self.seen.own not in busy)

    @property
    def idle(self) -> bool:
        """No process is left of it."""
        return self.worker is None or self.worker.phase is WorkerPhase.NONE

    def retire(self) -> None:
        """The supervisor is about to leave: stop at once, even if XenStore cannot be reached."""
        self.retiring = True
        self._closing.cancel()
        if self._upgrade is not None:
            self._upgrade.abandon()
        if self.worker is not None:
            self.worker.stop()

    def leave(self) -> bool:
        """The supervisor ends, without closing anything: whether a worker serves on."""
        if self._upgrade is not None:
            self._upgrade.leave()
        return self.worker is not None and self.worker.leave()

    def upgrade(self, done: Callable[[Outcome], None]) -> None:
        """Have a worker of our own code take over, then call ``done``.  Raises ``OSError``."""
        worker, record, seen = self.worker, self._record, self.seen
        why = obstacle(
            WorkerPhase.NONE if worker is None else worker.phase,
            recovers=worker is not None and worker.recovers,
            on_record=record is not None and seen is not None,
            busy=self._upgrade is not None,
        )
        if why is not None:
            done(why)
            return
        assert worker and record and seen  # noqa: S101, PT018 -- else there is an obstacle

        def ended(outcome: Outcome) -> None:
            self._upgrade = None
            self._record = upgrade.record
            if outcome.upgraded:
                self.worker, self._settings = upgrade.successor, upgrade.settings
                self.log.info("upgraded: worker %d, after %d", upgrade.record.pid, record.pid)
            else:
                self.log.warning("not upgraded, worker %d goes on: %s", record.pid, outcome.reason)
            self._wake()
            done(outcome)

        upgrade = self._upgrade = Upgrade(
            *(self.key, worker, record, self._services), done=ended, changed=self._wake
        )
        try:
            upgrade.begin(self._nodes, seen)
        except OSError:
            self._upgrade = None
            raise

    def look(self) -> None:
        """See what is there and do what is due.  Raises ``OSError`` when XenStore fails."""
        if not self.retiring and self._watch.rests():
            return
        for _ in range(_MOVES_PER_LOOK):
            if not self._step():
                return
        self._wake()

    def forget(self) -> None:
        """Let go of everything but the nodes.  Raises ``OSError`` when XenStore fails."""
        self._closing.cancel()
        if self.worker is not None:
            self.worker.stop()
        self._watch.end()

    def _step(self) -> bool:
        """One look and one move; false when there is nothing (more) to do now."""
        if self._upgrade is not None and self.idle:
            self._upgrade.predecessor_ended()
            return False  # who took over says so, or ends: either ends the upgrade, which wakes us
        self._reap()
        seen = self._nodes.look()
        if seen is None or self._is_another_domain(seen):
            self.forget()
            self.gone = self.worker is None
            return False
        self._notice(seen)
        if self._failure is not None:
            if self._settings is None and seen.own is not XenbusState.CONNECTED:
                # Of a worker that we did not start; what waits here waits for another.
                self.log.warning("%s", self._failure)
            else:
                self._fail(seen, self._failure)
            self._failure = None
            return True
        phase = self.worker.phase if self.worker else WorkerPhase.NONE
        view = View(seen.own, seen.frontend, phase, self._export, seen.online)
        move = last_move(view) if self.retiring else next_move(view)
        if self._unexamined is not None and phase is WorkerPhase.SERVING:
            if move is not Move.STOP:
                self._examine(self._unexamined, seen)
            self._unexamined = None
            return True
        if self._closed_late(seen, phase) and move is Move.WAIT:
            self.log.warning("the frontend does not close; closed without it")
            move = Move.SAY_CLOSED
        if move is not Move.WAIT:
            self._carry_out(move, seen)
        return move is not Move.WAIT

    def _reap(self) -> None:
        """Drop a worker that has ended, and keep the reason if that was not expected."""
        if self.worker is not None and self.worker.phase is WorkerPhase.NONE:
            self._services.records.remove(self.key, self.worker.pid)
            self._failure, self.worker = self.worker.failure, None
            self._unexamined = self._record = None
            sweep(self._services.config.run_dir)

    def _examine(self, record: Record, seen: Seen) -> None:
        """Keep the adopted worker only if it serves what this device is now."""
        worker, services = self.worker, self._services
        assert worker is not None  # noqa: S101 -- it serves
        why = disagreement(record, self._nodes, seen, services)
        if why is not None:
            worker.dismiss(why)
            return
        self._record = record
        self.log.info(
            "adopted worker %d of version %s, %.0f s after its start",
            *(worker.pid, record.version, services.reactor.now() - record.started),
        )
        if record.allowed_exports != services.config.allowed_exports:
            services.checks.submit(
                self._nodes.read_share(), lambda bad: None if bad is None else worker.dismiss(bad)
            )

    def _is_another_domain(self, seen: Seen) -> bool:
        """Whether the domain that this device was made for is there no more."""
        if self._domain is None:
            self._domain = seen.domain
        return seen.domain is None or self._domain != seen.domain

    def _notice(self, seen: Seen) -> None:
        """Compare with what was seen before."""
        before, self.seen = self.seen, seen
        if before is None:
            self.shown, self.domain = self._nodes.shown(), self._nodes.domain_name()
            self.log.info("device appeared: tag %s, path %s", seen.tag, self.shown)
        elif (before.own, before.frontend) != (seen.own, seen.frontend):
            self.log.debug("backend %s, frontend %s", seen.own.name, seen.frontend.name)
        if (before is None or _asks_again(before, seen)) and self._export is not Export.CHECKING:
            self._export = Export.UNCHECKED
        if seen.frontend_path is not None and self._nodes.is_home(seen.frontend_path):
            self._watch.watch(seen.frontend_path)

    def _carry_out(self, move: Move, seen: Seen) -> None:
        if move is Move.CHECK:
            self._check(seen)
        elif move is Move.REFUSE:
            self._fail(seen, self._why_bad)
            self._export = Export.REFUSED
        elif move is Move.ANNOUNCE:
            if self._nodes.announce(seen.own, self._services.offer):
                self.error = None
                self._export = Export.UNCHECKED
        elif move is Move.START:
            self._start(seen)
        elif move is Move.STOP and self.worker is not None:
            self.worker.stop()
        elif move in _CLAIMS:
            self._say(seen, _CLAIMS[move])

    def _check(self, seen: Seen) -> None:
        def verdict(why: str | None) -> None:
            self._export = Export.GOOD if why is None else Export.BAD
            self._why_bad = why or ""
            self._wake()

        try:
            self._nodes.check_frontend(seen)
            share = self._nodes.read_share()
            self.shown = share.shown
        except NodeError as error:
            verdict(str(error))
        else:
            self._export = Export.CHECKING
            self._services.checks.submit(share, verdict)

    def _start(self, seen: Seen) -> None:
        services = self._services
        try:
            self._nodes.check_frontend(seen)
            rings = self._nodes.read_rings(seen, services.offer)
            settings = services.worker_settings(self.key, self._nodes.read_share(), rings)
            process, control = services.forks.start(settings)
        except (NodeError, HandshakeError) as error:
            self._fail(seen, str(error))
        except WorkerError as error:
            self._fail(seen, f"no worker can be started: {error}")
        else:
            self._settings = settings
            self.worker = Worker(
                str(self.key),
                process,
                control,
                services.reactor,
                services.config.timeouts,
                changed=self._wake,
            )
            self.worker.recovers = settings.recovery

    def _say(self, seen: Seen, state: XenbusState) -> None:
        if state is XenbusState.CONNECTED:
            self._put_on_record(seen)
        if not self._nodes.move(seen.own, state):
            return
        if state is not XenbusState.CONNECTED:
            self.log.info("%s", state.name.lower())
        elif self.worker is not None and self.worker.ready is not None:
            rings, order, walls = self.worker.ready
            self.log.info(
                "connected: %d rings of order %d, worker %d", rings, order, self.worker.pid
            )
            self._services.say_missing(walls)

    def _put_on_record(self, seen: Seen) -> None:
        """Before Connected is claimed, so that whatever a guest may reach is on record."""
        if self.worker is None or self._settings is None or self.worker.outlives:
            return
        try:
            self._record = put_on_record(
                *(self.key, self.worker, self._settings, seen, self._services)
            )
        except OSError as error:
            self.log.warning("its worker ends with this supervisor: %s", error)

    def _fail(self, seen: Seen, reason: str) -> None:
        """Close the device and say why, in its ``error`` node and once in the log."""
        reason = shortened(reason)
        if seen.own in (XenbusState.CLOSING, XenbusState.CLOSED):
            self.log.warning("%s", reason)  # somebody closed it already, for another reason
        elif self._nodes.fail(seen.own, reason):
            self.log.warning("closing: %s", reason)
            self.error = reason

    def _closed_late(self, seen: Seen, phase: WorkerPhase) -> bool:
        timeout = self._services.config.timeouts.close
        if self.retiring:
            timeout = min(timeout, _LAST_CLOSE)
        closing = seen.own is XenbusState.CLOSING and phase is WorkerPhase.NONE
        return self._closing.late(timeout, closing=closing)


def _asks_again(before: Seen, seen: Seen) -> bool:
    """Whether a refused path is worth another check: something changed, or somebody asks for it."""
    if seen.own is XenbusState.INITIALISING and before.own is not XenbusState.INITIALISING:
        return True
    return (before.frontend, before.frontend_path, before.path) != (
        seen.frontend,
        seen.frontend_path,
        seen.path,
    )
