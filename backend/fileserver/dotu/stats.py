"""Tstat: a file's attributes as 9P2000.u has them, whole seconds and all."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from backend.fileserver.dotu.modes import dotu_mode
from protocol.ninep.ids import NONUNAME
from protocol.ninep.messages import Rstat, Stat

if TYPE_CHECKING:
    from backend.fileserver.fids import FidState
    from backend.fileserver.files import Node
    from backend.fileserver.qids import Status
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Tstat

ROOT_NAME: Final = b"/"
"""Of the root (stat(5)), and of a directory that was reached by ``..``: nobody asked its name."""

NO_TIME: Final = 0xFFFF_FFFF
"""In a Twstat: leave this time as it is.  So it is no time in a Stat either."""

MAX_RSTAT: Final = 8192
"""Bytes of a whole Rstat: Linux drops a longer one, whatever msize is (net/9p/client.c)."""

_RSTAT_SIZE: Final = 72  # of an Rstat whose strings are all empty
_NSEC: Final = 1_000_000_000


def stat_(session: Session, request: Tstat) -> Rstat:
    """The attributes of any file, open or not; of a link itself.

    Raises ``OSError``: EBADF, ENAMETOOLONG where a link's target does not fit a message, and what
    ``stat_of`` says.
    """
    state = session.fids[request.fid]
    found = stat_of(session.tree, state.node, name_of(state))
    size = _RSTAT_SIZE + sum(map(len, (found.name, found.uid, found.gid, found.extension)))
    if size > min(session.msize, MAX_RSTAT):
        raise OSError(errno.ENAMETOOLONG, f"a target of {len(found.extension)} bytes")
    return Rstat(request.tag, found)


def name_of(state: FidState) -> bytes:
    """What a fid's file is called in the directory where the fid found it."""
    return ROOT_NAME if state.place is None else state.place.name


def stat_of(tree: Tree, node: Node, name: bytes) -> Stat:
    """The attributes of ``node``, called ``name``.

    Users and groups are numbers here: as strings they are the same in digits, for clients that
    show only those.  A directory's length is 0 (stat(5)).

    Raises ``OSError``: what fstat(2) and readlink(2) say.
    """
    qid, status = tree.getattr(node)
    mode = status.st_mode
    return Stat(
        0,
        0,
        qid,
        dotu_mode(mode),
        _seconds(status.st_atime_ns),
        _seconds(status.st_mtime_ns),
        0 if stat.S_ISDIR(mode) else status.st_size,
        name,
        b"%d" % status.st_uid,
        b"%d" % status.st_gid,
        b"",
        _extension(tree, node, status),
        status.st_uid,
        status.st_gid,
        NONUNAME,
    )


def _extension(tree: Tree, node: Node, status: Status) -> bytes:
    mode = status.st_mode
    if stat.S_ISLNK(mode):
        return tree.readlink(node)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        # Not in the draft: Linux takes st_nlink from here (fs/9p/vfs_inode.c), QEMU gives it.
        return b"HARDLINKCOUNT %d" % status.st_nlink
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        kind = b"c" if stat.S_ISCHR(mode) else b"b"
        return b"%b %d %d" % (kind, os.major(status.st_rdev), os.minor(status.st_rdev))
    return b""


def _seconds(nanoseconds: int) -> int:
    """Seconds since 1970 in 32 bits without sign; a time outside is the nearest one inside."""
    return min(max(nanoseconds // _NSEC, 0), NO_TIME - 1)
