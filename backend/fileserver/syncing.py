"""Tfsync."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.fileserver.deferred import Deferred
from protocol.ninep.messages import Rfsync

if TYPE_CHECKING:
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tfsync


def fsync(session: Session, request: Tfsync) -> Deferred:
    """Have all data written through this file on disk.

    The file is pinned now; the waiting is done elsewhere, and the fid may be clunked meanwhile.

    Raises ``OSError``: EBADF (unknown, not open), EMFILE; later what fsync(2) says.
    """
    pin = session.fids[request.fid].file.pin()
    reply = Rfsync(request.tag)
    data_only = request.datasync != 0

    def run() -> Rfsync:
        pin.sync(data_only=data_only)
        return reply

    return Deferred(run, pin.close)
