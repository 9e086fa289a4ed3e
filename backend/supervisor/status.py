"""The status socket: whoever connects sends one line, and gets what it asks for.

``status`` is answered with a JSON document, and the connection ends; ``stop`` has all devices
closed, and the connection ends with the supervisor; ``upgrade DOMID/DEVID`` is answered with what
came of it.

The document is put together from what the supervisor knows and what each worker reports; a worker
that does not answer in time is shown as such, and the rest is shown.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from backend.supervisor.keys import DeviceKey
from backend.supervisor.policy import WorkerPhase
from backend.supervisor.processes import stat_fields
from backend.supervisor.upgrade import Outcome
from backend.worker.control import FIGURES
from protocol.xenpv.ids import Devid, Domid

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.supervisor.device import Device
    from backend.supervisor.reactor import Reactor
    from backend.supervisor.supervisor import Supervisor
    from backend.supervisor.workers import Worker
    from backend.worker.control import Report

ANSWER_TIME: Final = 1.0
"""Seconds a worker has to report."""

_CLIENTS: Final = 16
_CLIENT_TIME: Final = 5.0
"""Seconds a client has to ask, and to read its document."""

STATUS: Final = b"status\n"
STOP: Final = b"stop\n"
UPGRADE: Final = re.compile(rb"upgrade (\d{1,5})/(\d{1,10})\n")
_LONGEST_REQUEST: Final = 32

_CLOCK_TICKS: Final = os.sysconf("SC_CLK_TCK")

Document = dict[str, Any]


class StatusServer:
    """Listens on a unix socket that only its owner may open."""

    def __init__(
        self,
        path: str,
        supervisor: Supervisor,
        reactor: Reactor,
        about: dict[str, object],
        close_all: Callable[[], None],
    ) -> None:
        """Raises ``OSError``.  A socket that lies there already is a dead supervisor's."""
        self._supervisor = supervisor
        self._reactor = reactor
        self._about = about
        self._close_all = close_all
        self._started = reactor.now()
        self._numbers = itertools.count(1)
        self._clients: set[_Client] = set()
        self._path = path
        self._listener = _listen(path)
        reactor.register(self._listener.fileno(), self._accept)

    def close(self) -> None:
        """Hang up on everybody and take the socket away."""
        self._reactor.unregister(self._listener.fileno())
        self._listener.close()
        for client in list(self._clients):
            client.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._clients) >= _CLIENTS:
            connection.close()
            return
        self._clients.add(_Client(connection, self._reactor, self._asked, self._clients.discard))

    def _asked(self, client: _Client, request: bytes) -> None:
        if request == STATUS:
            self._gather(client.send)
        elif request == STOP:
            client.wait()
            self._close_all()
        elif match := UPGRADE.fullmatch(request):
            client.wait()
            self._upgrade(DeviceKey(Domid(int(match[1])), Devid(int(match[2]))), client)
        else:
            client.close()

    def _upgrade(self, key: DeviceKey, client: _Client) -> None:
        def tell(outcome: Outcome) -> None:
            client.send(json.dumps(outcome._asdict()).encode() + b"\n")

        device = self._supervisor.devices.get(key)
        if device is None:
            tell(Outcome(False, "there is no such device", "see xen-fileproxy list"))
            return
        try:
            device.upgrade(tell)
        except OSError as error:
            tell(Outcome(False, f"XenStore: {error.strerror or error}", "try again"))

    def _gather(self, done: Callable[[bytes], None]) -> None:
        """Ask all workers; call ``done`` with the document when all have answered, or in time."""
        number = next(self._numbers)
        documents = []
        silent: dict[Worker, Document] = {}
        for device in self._supervisor.devices.values():
            documents.append(document := self._describe(device))
            if device.worker is not None and device.worker.phase is WorkerPhase.SERVING:
                document["answers"] = False
                silent[device.worker] = document

        def finish() -> None:
            deadline.cancel()
            for worker in silent:
                worker.forget_query(number)
            everything = {
                **self._about,
                "uptime": round(self._reactor.now() - self._started, 1),
                "devices": sorted(documents, key=lambda item: (item["domid"], item["devid"])),
            }
            done(json.dumps(everything).encode() + b"\n")

        def answered(worker: Worker, report: Report) -> None:
            document = silent.pop(worker)
            # Only what we asked for: a worker may be the guest's by now.
            document.update({name: report.figures.get(name) for name in FIGURES}, answers=True)
            if not silent:
                finish()

        deadline = self._reactor.after(ANSWER_TIME, finish)
        for worker in silent:
            worker.query(number, partial(answered, worker))
        if not silent:
            finish()

    def _describe(self, device: Device) -> Document:
        """What the supervisor itself knows of a device."""
        seen, worker = device.seen, device.worker
        document: Document = {
            "domid": device.key.domid,
            "devid": device.key.devid,
            "domain": device.domain,
            "tag": seen.tag if seen else None,
            "path": device.shown,
            "state": seen.own.name.lower() if seen else None,
            "frontend": seen.frontend.name.lower() if seen else None,
            "error": device.error,
        }
        if worker is not None and worker.phase is not WorkerPhase.NONE:
            document |= {
                "worker": worker.phase.name.lower(),
                "pid": worker.pid,
                "uptime": round(self._reactor.now() - worker.started, 1),
                "cpu_seconds": _cpu_seconds(worker.pid),
                "version": worker.version or self._about["version"],
                "recovers": worker.recovers,
                "adopted": worker.adopted and round(self._reactor.now() - worker.adopted, 1),
            }
            if worker.ready is not None:
                document |= worker.ready._asdict()
        return document


def _listen(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The file gets the mode of the socket's inode: it is never open to others.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
    except OSError:
        listener.close()
        raise
    listener.listen(_CLIENTS)
    listener.setblocking(False)
    return listener


class _Client:
    """A connection that asks for something."""

    def __init__(
        self,
        connection: socket.socket,
        reactor: Reactor,
        asked: Callable[[_Client, bytes], None],
        closed: Callable[[_Client], None],
    ) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._reactor = reactor
        self._asked = asked
        self._closed = closed
        self._rest = b""
        self._deadline = reactor.after(ANSWER_TIME + _CLIENT_TIME, self.close)
        reactor.register(connection.fileno(), self._hear)

    def _hear(self) -> None:
        """What it asks, which comes in one piece: so short a line is sent at once."""
        try:
            request = self._connection.recv(_LONGEST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            request = b""
        self._reactor.unregister(self._connection.fileno())
        self._asked(self, request)

    def wait(self) -> None:
        """Keep it until the supervisor ends."""
        self._deadline.cancel()

    def send(self, document: bytes) -> None:
        """Send it, as fast as the client reads, then hang up."""
        if self._connection.fileno() < 0:
            return
        self._rest = document
        self._reactor.register(self._connection.fileno(), self._flush, write=True)

    def close(self) -> None:
        """Hang up."""
        if self._connection.fileno() >= 0:
            self._deadline.cancel()
            self._reactor.unregister(self._connection.fileno())
            self._connection.close()
            self._closed(self)

    def _flush(self) -> None:
        try:
            self._rest = self._rest[self._connection.send(self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._rest = b""
        if not self._rest:
            self.close()


def _cpu_seconds(pid: int) -> float | None:
    """User and system time of a process; the kernel knows it even of one that does not answer."""
    fields = stat_fields(pid)
    if fields is None:
        return None
    # proc(5): utime and stime are fields 14 and 15.
    return round((int(fields[11]) + int(fields[12])) / _CLOCK_TICKS, 2)
