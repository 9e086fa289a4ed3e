"""A worker process: its life from fork to exit.  The fork server imports this module once.

The process serves one device and owns nothing else.  Its mappings and event channels are given
back by its exit, whatever way that comes about: there is one path to test, not two.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from functools import partial
from typing import TYPE_CHECKING

from backend import logs
from backend.channel.listening import listen_all
from backend.confinement.descriptors import blind
from backend.confinement.plan import plan_for
from backend.confinement.sandbox import Sandbox
from backend.confinement.walls import Refused
from backend.exports import ExportError
from backend.fileserver.connection import Connection
from backend.fileserver.counters import Counters
from backend.fileserver.lane import Lane
from backend.platform import open_platform
from backend.trace import TraceWriter
from backend.worker.control import ControlChannel, Failed, Ready, shortened
from backend.worker.loop import ServiceLoop
from backend.worker.rings import BoundRing, ConnectError, bind_ring
from backend.worker.sessions import open_session
from backend.worker.supervision import Supervision

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping

    from backend.worker.settings import WorkerSettings
    from protocol.xenpv.ids import Evtchn
    from protocol.xenpv.ports import EventChannels

log = logging.getLogger(__name__)


def main(settings: WorkerSettings, control: socket.socket) -> None:
    """The process's whole work; the supervisor holds the other end of ``control``."""
    prepare_process([control.fileno()])
    logs.set_up(settings.log_level, settings.device)
    # A process group of our own: what a terminal does to its supervisor's, Ctrl-C and Ctrl-Z,
    # and its hang-up, are not for us, who may outlive it.
    os.setpgid(0, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervision = Supervision(ControlChannel(control))
    try:
        reason = _serve(settings, supervision)
    except (ConnectError, ExportError, Refused) as error:
        reason = str(error)
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename:
            reason = f"{os.fsdecode(error.filename)}: {reason}"
    except Exception as error:
        log.exception("the worker cannot go on")
        reason = f"worker failed: {type(error).__name__}: {error}"
    if reason is not None and not supervision.send(Failed(shortened(reason))):
        log.warning("%s", shortened(reason))  # nobody else will tell
    supervision.close()


def prepare_process(kept: Iterable[int]) -> None:
    """What every process that serves a guest needs; of the descriptors that it has, ``kept``."""
    blind(kept)
    # A terminal's Ctrl-C and systemd's stop reach every process; the supervisor ends us in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.umask(0)  # the modes that a guest asks for are the guest's business
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _serve(settings: WorkerSettings, supervision: Supervision) -> str | None:
    """Connect, serve; the reason why it ended, or ``None`` when told to stop."""
    supervision.listen(settings.workers_dir, settings.domid, settings.devid)
    platform = open_platform(settings.platform)
    mapper, events = platform.grant_mapper(), platform.event_channels()
    rings = [
        bind_ring(mapper, events, settings.domid, number, offer, max_order=settings.max_order)
        for number, offer in enumerate(settings.rings)
    ]
    events.restrict(settings.domid)
    listeners = listen_all(settings.share.channels)
    sandbox = Sandbox(plan_for(settings.share, settings.walls), settings.required_walls)
    sandbox.enter()
    connection = _connect(settings, events, rings, listeners)
    try:
        walls = sandbox.shut()
        ports: dict[Evtchn, int] = {ring.port: ring.number for ring in rings}
        supervision.send(Ready(len(rings), max(ring.order for ring in rings), walls))
        return ServiceLoop(connection, events, ports, supervision).run()
    finally:
        connection.close()


def _connect(
    settings: WorkerSettings,
    events: EventChannels,
    rings: list[BoundRing],
    listeners: Mapping[str, socket.socket],
) -> Connection:
    session = open_session(
        settings.share,
        settings.allowed_exports,
        quota_dir=settings.quota_dir,
        max_fids=settings.max_fids,
        max_open_files=settings.max_open_files,
        # A message must fit the smallest ring, whichever it comes by.
        max_msize=min(settings.max_msize, *(ring.requests.size for ring in rings)),
        listeners=listeners,
    )
    lanes = [Lane(ring.requests, ring.replies, partial(events.notify, ring.port)) for ring in rings]
    trace = settings.trace and TraceWriter.open(settings.trace, settings.domid, settings.devid)
    return Connection(session, lanes, Counters(), trace or None)
