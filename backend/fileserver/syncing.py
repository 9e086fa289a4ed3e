"""Tfsync, and what closing a file has in common with it."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from protocol.ninep.messages import Rfsync

if TYPE_CHECKING:
    from backend.fileserver.deferred import Deferred, Steps
    from backend.fileserver.files import File, Node
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Tfsync


def fsync(session: Session, request: Tfsync) -> Deferred:
    """Have all data written through this file on disk.

    The file is pinned first; the waiting is done elsewhere, and the fid may be clunked meanwhile.

    Raises ``OSError``: EBADF (unknown, not open), EMFILE; later what fsync(2) says.
    """
    yield from synced(session.fids[request.fid].file, data_only=request.datasync != 0)
    return Rfsync(request.tag)


def synced(file: File, *, data_only: bool = False) -> Steps:
    """Have what was written through ``file`` on disk.  Raises ``OSError``."""
    pin = file.pin()
    try:
        yield partial(pin.sync, data_only=data_only)
    finally:
        pin.close()


def entry_synced(tree: Tree, parent: Node) -> Steps:
    """Have what changed in a directory on disk.  Raises ``OSError``."""
    directory = tree.open(parent, os.O_RDONLY)
    try:
        yield from synced(directory)
    finally:
        directory.close()


def closed(file: File) -> Steps:
    """Close ``file``, in steps if it asks for them.  Raises ``OSError``."""
    steps = file.closing()
    if steps is None:
        file.close()
    else:
        yield from steps
