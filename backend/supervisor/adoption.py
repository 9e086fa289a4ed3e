"""Workers that an earlier supervisor left behind: found by their records, and adopted or ended.

Nothing that a worker says is needed for it: the record says what it serves, the kernel whether the
process lives, and XenStore whether that is still wanted.  All of it is done without waiting, so a
worker that does not answer holds up nobody.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, Final

from backend.confinement.walls import HOLDS
from backend.share import share_nodes
from backend.supervisor.nodes import NodeError
from backend.supervisor.processes import Process, birth
from backend.supervisor.records import Record
from backend.supervisor.workers import Worker
from backend.worker import control
from backend.worker.control import ControlChannel
from backend.worker.supervision import connect, socket_name
from protocol.xenpv.device import MAX_RING_ORDER, BackendOffer, HandshakeError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from backend.share import Share
    from backend.supervisor.keys import DeviceKey
    from backend.supervisor.nodes import DeviceNodes, Seen
    from backend.supervisor.records import Remains
    from backend.supervisor.services import Services
    from backend.worker.settings import WorkerSettings


def adopt(
    key: DeviceKey, record: Record | Remains, services: Services, changed: Callable[[], None]
) -> Worker | None:
    """The worker that a record is about, ``None`` when it has ended.

    One that cannot be used is killed; it is there until it has ended.  Raises ``OSError`` for what
    is no fault of the worker's, as EMFILE is: then none is to be killed for it.
    """
    process = _find(record)
    if process is None:
        return None
    connection, why = None, _unusable(record, services)
    if not why:
        try:
            connection = connect(
                services.records.directory, socket_name(key.domid, key.devid, record.pid)
            )
        except (ConnectionRefusedError, FileNotFoundError, BlockingIOError) as error:
            why = f"it cannot be reached: {error.strerror}"
    worker = Worker(
        str(key),
        process,
        ControlChannel(connection or _nobody()),
        services.reactor,
        services.config.timeouts,
        changed=changed,
    )
    if why:
        worker.give_up(f"the worker of an earlier supervisor is of no use: {why}")
    elif isinstance(record, Record):
        worker.adopt(record.ready, record.started, record.version, recovers=record.recovers)
    return worker


_SETTLES: Final = 1.0
"""Seconds that two workers of one device have to agree who serves, which takes milliseconds."""


def serving_one(record: Record | Remains) -> Record | Remains:
    """The worker that goes on, of two that a supervisor left in the middle of an upgrade.

    They agree between themselves, and the other one ends.  That is waited for: it is rare, and over
    before a supervisor has started, unless it is killed and started in the very moment.
    """
    if not isinstance(record, Record) or record.predecessor is None:
        return record
    both = (record._replace(predecessor=None), record.predecessor)
    there = [(each, process) for each in both if (process := _find(each)) is not None]
    if len(there) == 2:
        ends = [process.end_fd for _, process in there]
        ended = select.select(ends, [], [], _SETTLES)[0] or ends[1:]
        for _, process in there:
            if process.end_fd in ended:
                process.kill()
        there = [one for one in there if one[1].end_fd not in ended] or there[:1]
    for _, process in there:
        process.close()
    return there[0][0] if there else both[0]


def put_on_record(
    key: DeviceKey,
    worker: Worker,
    settings: WorkerSettings,
    seen: Seen,
    services: Services,
    *,
    predecessor: Record | None = None,
) -> Record | None:
    """Let the worker serve on when this supervisor ends: the record.  Raises ``OSError``."""
    born, ready = birth(worker.pid), worker.ready
    if born is None or ready is None or seen.domain is None:
        return None  # it, or its domain, has ended, and we shall hear of it
    record = Record(
        pid=worker.pid,
        birth=born,
        version=services.version,
        platform=settings.platform,
        domain=os.fsdecode(seen.domain),
        share=share_texts(settings.share),
        rings=settings.rings,
        allowed_exports=settings.allowed_exports,
        started=worker.started,
        ready=ready,
        recovers=worker.recovers,
        predecessor=predecessor,
    )
    services.records.write(key, record)
    worker.outlive()
    return record


def disagreement(record: Record, nodes: DeviceNodes, seen: Seen, services: Services) -> str | None:
    """Why a device that XenStore shows as connected is not the one that the worker serves.

    Raises ``OSError`` as a store does.
    """
    # No more rings than the worker has, whatever the configuration offers now.
    offer = BackendOffer(len(record.rings), MAX_RING_ORDER)
    try:
        nodes.check_frontend(seen)
        share = nodes.read_share()
        rings = nodes.read_rings(seen, offer)
    except (NodeError, HandshakeError) as error:
        return str(error)
    for node in sorted({*record.share, *(texts := share_texts(share))}):
        if (wanted := texts.get(node)) != (served := record.share.get(node)):
            return f"its worker was started with {node} {served}, and the node is {wanted} now"
    if tuple(rings) != record.rings:
        return "its frontend has offered other rings while no supervisor ran"
    for wall in services.config.confinement.required_walls:
        if (why := record.ready.walls.get(wall, "it is off")) != HOLDS:
            return f"the configuration requires the wall {wall}: {why}"
    return None


def share_texts(share: Share) -> dict[str, str]:
    """The nodes that describe a share, as a record has them."""
    return {name: os.fsdecode(value) for name, value in share_nodes(share).items()}


def _find(record: Record | Remains) -> Process | None:
    try:
        process = Process(record.pid)
    except (ProcessLookupError, OverflowError, ValueError):
        return None
    # Looked at after the descriptor is there: had the number passed on to a later process
    # meanwhile, that one would have been born later.
    if birth(record.pid) != record.birth:
        process.close()
        return None
    return process


def _unusable(record: Record | Remains, services: Services) -> str | None:
    if not isinstance(record, Record):
        return record.why
    if record.platform != services.config.platform:
        return f"it serves on platform {record.platform}"
    return None


def _nobody() -> socket.socket:
    """A control channel whose other end has hung up."""
    ours, theirs = control.pair()
    theirs.close()
    return ours
