"""Tunlinkat, Trenameat, Trename: entries of directories, by name and by fid.

Whatever removes or moves an entry goes through here, so that the fids' places follow it.
"""

from __future__ import annotations

import errno
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from backend.fileserver.names import check_name
from protocol.ninep.flags import AT_REMOVEDIR
from protocol.ninep.messages import Rrename, Rrenameat, Runlinkat

if TYPE_CHECKING:
    from backend.fileserver.fids import FidState
    from backend.fileserver.files import Node
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Trename, Trenameat, Tunlinkat


def unlinkat(session: Session, request: Tunlinkat) -> Runlinkat:
    """Remove an entry of the directory ``dirfid``, which may be open.

    Raises ``OSError``: EBADF, what ``check_name`` says, EINVAL for an unknown flag, EISDIR,
    ENOTDIR, ENOTEMPTY, and what unlinkat(2) says.
    """
    directory = session.fids[request.dirfid].node
    check_name(request.name)
    if request.flags & ~AT_REMOVEDIR:
        raise OSError(errno.EINVAL, f"flags {request.flags:#x}")
    _unlink(session, directory, request.name, directory=bool(request.flags & AT_REMOVEDIR))
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
    _rename(session, old, request.oldname, new, request.newname)
    return Rrenameat(request.tag)


def rename(session: Session, request: Trename) -> Rrename:
    """Move the file ``fid``, under the name by which the fid found it, to ``name`` in ``dfid``.

    Raises ``OSError``: EBADF, and what ``rename_fid`` says.
    """
    state = session.fids[request.fid]
    rename_fid(session, state, session.fids[request.dfid].node, request.name)
    return Rrename(request.tag)


def rename_fid(session: Session, state: FidState, new_parent: Node | None, new_name: bytes) -> None:
    """Move the file that a fid stands for; ``new_parent`` ``None``: within its directory.

    Raises ``OSError``: what ``check_name`` says of the new name, what ``entry_of`` says, and what
    renameat(2) says.
    """
    check_name(new_name)
    parent, name = entry_of(session.tree, state)
    _rename(session, parent, name, new_parent or parent, new_name)


def unlink_fid(session: Session, state: FidState) -> None:
    """Remove the name by which a fid found its file.

    Raises ``OSError``: what ``entry_of`` says, ENOTEMPTY, and what unlinkat(2) says.
    """
    parent, name = entry_of(session.tree, state)
    _unlink(session, parent, name, directory=state.node.kind == stat.S_IFDIR)


def entry_of(tree: Tree, state: FidState) -> tuple[Node, bytes]:
    """The directory and name where a fid's file stands, if it still stands there.

    The directory is held by the fid's place only.  Raises ``OSError``: EBUSY for the root, for what
    was attached and for what was reached by ``..``; ENOENT if the name is gone, ESTALE if another
    file has it.
    """
    place = state.place
    if place is None:
        raise OSError(errno.EBUSY, "the root, or a directory whose name is not known")
    if place.parent is None:
        raise OSError(errno.ENOENT, "the name has been removed or given to another file")
    if _path_of(tree, place.parent, place.name) != state.node.qid.path:
        raise OSError(errno.ESTALE, "the file has another name by now")
    return place.parent, place.name


def _unlink(session: Session, parent: Node, name: bytes, *, directory: bool) -> None:
    session.tree.unlink(parent, name, directory=directory)
    session.places.removed(parent, name)


def _rename(
    session: Session, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes
) -> None:
    session.tree.rename(old_parent, old_name, new_parent, new_name)
    follow(session, old_parent, old_name, new_parent, new_name)


def follow(
    session: Session, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes
) -> None:
    """Have the fids' places follow a rename that was done."""
    tree, places = session.tree, session.places
    if not (places.known(old_parent, old_name) or places.known(new_parent, new_name)):
        return
    with suppress(OSError):
        if _path_of(tree, old_parent, old_name) == _path_of(tree, new_parent, new_name):
            # Two names of one file: both are still there, as rename(2) has it.
            return
    places.moved(old_parent, old_name, new_parent, new_name)


def _path_of(tree: Tree, parent: Node, name: bytes) -> int:
    found = tree.lookup(parent, name)
    found.release()
    return found.qid.path
