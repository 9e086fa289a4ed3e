"""Treaddir, Tmkdir."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from backend.fileserver.names import check_name
from backend.fileserver.opening import PERMISSIONS, new_owner
from protocol.ninep.directory import ENTRY_SIZE, encode_entry
from protocol.ninep.messages import Rmkdir

if TYPE_CHECKING:
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tmkdir, Treaddir


def readdir(session: Session, request: Treaddir, room: int) -> bytes:
    """Whole entries after ``request.offset``, at most ``room`` bytes; b"" at the directory's end.

    Raises ``OSError``: EBADF (unknown, not open), ENOTDIR, EINVAL where entries are left but not
    even one fits (as getdents(2) says), or for an offset that is no position.
    """
    parts: list[bytes] = []
    left = room
    try:
        for entry in session.fids[request.fid].file.entries(request.offset):
            left -= ENTRY_SIZE + len(entry.name)
            if left < 0:
                if not parts:
                    raise OSError(errno.EINVAL, f"{room} bytes are too few for an entry")
                break
            parts.append(encode_entry(*entry))
    except OSError:
        # What was read is good, and the client will come for the rest.
        if not parts:
            raise
    return b"".join(parts)


def mkdir(session: Session, request: Tmkdir) -> Rmkdir:
    """Create a directory in ``dfid``, which may be open.

    Raises ``OSError``: EBADF, what ``check_name`` says, EEXIST, and what mkdir(2) says.
    """
    state = session.fids[request.dfid]
    check_name(request.name)
    owner = new_owner(state, request.gid)
    qid = session.tree.mkdir(state.node, request.name, request.mode & PERMISSIONS, owner)
    return Rmkdir(request.tag, qid)
