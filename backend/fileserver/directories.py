"""Treaddir, Tmkdir."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.fileserver.names import check_name
from backend.fileserver.opening import PERMISSIONS, new_owner
from protocol.ninep.messages import Rmkdir

if TYPE_CHECKING:
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tmkdir, Treaddir


def readdir(session: Session, request: Treaddir, room: int) -> bytes:
    """Whole entries after ``request.offset``, at most ``room`` bytes; b"" at the directory's end.

    Raises ``OSError``: EBADF (unknown, not open), ENOTDIR, EINVAL where entries are left but not
    even one fits (as getdents(2) says), or for an offset that is no position.
    """
    return session.fids[request.fid].file.pack_entries(request.offset, room)


def mkdir(session: Session, request: Tmkdir) -> Rmkdir:
    """Create a directory in ``dfid``, which may be open.

    Raises ``OSError``: EBADF, what ``check_name`` says, EEXIST, and what mkdir(2) says.
    """
    state = session.fids[request.dfid]
    check_name(request.name)
    owner = new_owner(state, request.gid)
    qid = session.tree.mkdir(state.node, request.name, request.mode & PERMISSIONS, owner)
    return Rmkdir(request.tag, qid)
