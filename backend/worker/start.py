"""A worker process: its life from fork to exit.  The fork server imports this module once.

The process serves one device and owns nothing else.  Its mappings and event channels are given
back by its exit, whatever way that comes about: there is one path to test, not two.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
from typing import TYPE_CHECKING

from backend import logs
from backend.channel.listening import listen_all
from backend.confinement.descriptors import blind
from backend.confinement.plan import plan_for
from backend.confinement.sandbox import Sandbox
from backend.confinement.walls import Refused
from backend.exports import ExportError
from backend.fileserver.lane import Lane
from backend.journal.carrying import no_point
from backend.platform import open_platform
from backend.trace import TraceWriter
from backend.worker.control import ControlChannel, Failed, shortened
from backend.worker.device import Device
from backend.worker.handover import HandoverError
from backend.worker.lives import Lives
from backend.worker.rings import BoundRing, ConnectError, bind_ring
from backend.worker.sessions import open_session
from backend.worker.successor import succeed
from backend.worker.supervision import Supervision

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping

    from backend.fileserver.session import Session
    from backend.journal.carrying import Point
    from backend.worker.settings import WorkerSettings

log = logging.getLogger(__name__)


def main(
    settings: WorkerSettings,
    control: socket.socket,
    point: Point = no_point,
    predecessor: socket.socket | None = None,
) -> None:
    """The process's whole work; the supervisor holds the other end of ``control``.

    ``point`` is called at the steps that a test may end a worker at.  ``predecessor`` leads to the
    process that serves the device now, if one does.
    """
    prepare_process([end.fileno() for end in (control, predecessor) if end is not None])
    logs.set_up(settings.log_level, settings.device)
    # A process group of our own: what a terminal does to its supervisor's, Ctrl-C and Ctrl-Z,
    # and its hang-up, are not for us, who may outlive it.
    os.setpgid(0, 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervision = Supervision(ControlChannel(control))
    try:
        if predecessor is None:
            reason = _serve(settings, supervision, point)
        else:
            reason = succeed(settings, supervision, predecessor, point)
    except (ConnectError, ExportError, Refused, HandoverError) as error:
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


def _serve(settings: WorkerSettings, supervision: Supervision, point: Point) -> str | None:
    """Connect, serve; the reason why it ended, or ``None`` when told to stop, or told already."""
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
    session = _open(settings, rings, listeners)
    trace = settings.trace and TraceWriter.open(settings.trace, settings.domid, settings.devid)
    try:
        sandbox.shut_around()
    except BaseException:
        session.close()
        raise
    device = Device(
        settings, session, sandbox, mapper, events, tuple(rings), supervision, trace or None
    )
    if settings.recovery:
        return Lives(device, point).run()
    connection = device.connect(device.lanes(Lane))
    try:
        device.wall_in()
        device.say_ready()
    except BaseException:
        connection.close()
        raise
    return device.serve(connection)


def _open(
    settings: WorkerSettings, rings: list[BoundRing], listeners: Mapping[str, socket.socket]
) -> Session:
    return open_session(
        settings.share,
        settings.allowed_exports,
        quota_dir=settings.quota_dir,
        max_fids=settings.max_fids,
        max_open_files=settings.max_open_files,
        # A message must fit the smallest ring, whichever it comes by.
        max_msize=min(settings.max_msize, *(ring.requests.size for ring in rings)),
        listeners=listeners,
    )
