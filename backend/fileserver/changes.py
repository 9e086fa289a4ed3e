"""Tunlinkat, Trenameat: entries of directories, by name."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from backend.fileserver.names import check_name
from protocol.ninep.flags import AT_REMOVEDIR
from protocol.ninep.messages import Rrenameat, Runlinkat

if TYPE_CHECKING:
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Trenameat, Tunlinkat


def unlinkat(session: Session, request: Tunlinkat) -> Runlinkat:
    """Remove an entry of the directory ``dirfid``, which may be open.

    Raises ``OSError``: EBADF, what ``check_name`` says, EINVAL for an unknown flag, EISDIR,
    ENOTDIR, ENOTEMPTY, and what unlinkat(2) says.
    """
    directory = session.fids[request.dirfid].node
    check_name(request.name)
    if request.flags & ~AT_REMOVEDIR:
        raise OSError(errno.EINVAL, f"flags {request.flags:#x}")
    session.tree.unlink(directory, request.name, directory=bool(request.flags & AT_REMOVEDIR))
    return Runlinkat(request.tag)


def renameat(session: Session, request: Trenameat) -> Rrenameat:
    """Move an entry from one directory to another, over what is there, as rename(2).

    Fids stay with their files.

    Raises ``OSError``: EBADF, what ``check_name`` says, and what renameat(2) says.
    """
    old = session.fids[request.olddirfid].node
    new = session.fids[request.newdirfid].node
    check_name(request.oldname)
    check_name(request.newname)
    session.tree.rename(old, request.oldname, new, request.newname)
    return Rrenameat(request.tag)
