"""Tlopen, Tlcreate: a fid becomes an open file."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import NO_CHANGE, Owner
from backend.fileserver.names import check_name
from backend.fileserver.opening_streams import open_stream
from backend.fileserver.parked import MustWait
from backend.fileserver.streams import AsksOn, Stream
from protocol.ninep.flags import (
    DOTL_ACCMODE,
    DOTL_APPEND,
    DOTL_DIRECTORY,
    DOTL_DSYNC,
    DOTL_EXCL,
    DOTL_NOACCESS,
    DOTL_NONBLOCK,
    DOTL_SYNC,
    DOTL_TRUNC,
)
from protocol.ninep.ids import NONUNAME
from protocol.ninep.messages import Rlcreate, Rlopen

if TYPE_CHECKING:
    from backend.fileserver.fids import FidState
    from backend.fileserver.files import File
    from backend.fileserver.parked import Parked
    from backend.fileserver.session import Session
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Message, Qid, Tlcreate, Tlopen

IO_HEADER: Final = 24
"""What a message has beside its data, as Linux counts it (P9_IOHDRSZ)."""

PERMISSIONS: Final = 0o7777
"""The bits of a mode that chmod(2) knows; Linux sends the kind along."""

# 9P numbers the flags as x86 does, the host as it likes.  Not passed on:
# O_DIRECT (a ring's slices have no alignment to offer), O_NONBLOCK, O_NOCTTY and FASYNC (regular
# files know nothing of them), O_NOATIME (needs a privilege, and is a wish), O_CLOEXEC, O_LARGEFILE
# and O_NOFOLLOW (always so here), O_CREAT (Tlcreate says so), O_EXCL without it.
_PASSED: Final = (
    (DOTL_TRUNC, os.O_TRUNC),
    (DOTL_APPEND, os.O_APPEND),
    (DOTL_DSYNC, os.O_DSYNC),
    # O_SYNC is two bits, of which O_DSYNC is one (open(2)).
    (DOTL_SYNC, os.O_SYNC),
)
_ACCESS: Final = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)


def host_flags(dotl: int) -> int:
    """The ``os.O_*`` flags that both requests share, for 9P's.  Raises ``OSError`` EINVAL."""
    access = dotl & DOTL_ACCMODE
    if access == DOTL_NOACCESS:
        raise OSError(errno.EINVAL, "access mode 3")
    flags = _ACCESS[access]
    for bit, host in _PASSED:
        if dotl & bit:
            flags |= host
    return flags


def lopen(session: Session, request: Tlopen) -> Message | Parked:
    """Open a regular file or a directory; a stream perhaps later.

    Raises ``OSError``: EBADF, EINVAL (already open, access mode 3), ENOTDIR, EISDIR, ELOOP for a
    symbolic link, ENXIO for a device, FIFO or socket, EMFILE, and what open(2) says.
    """
    state = unopened(session, request.fid)
    flags = host_flags(request.flags)
    if request.flags & DOTL_DIRECTORY and state.node.kind != stat.S_IFDIR:
        raise OSError(errno.ENOTDIR, "not a directory")
    try:
        qid = open_fid(session, state, flags)
    except MustWait as waiting:
        return _open_stream(session, state, request, waiting)
    return Rlopen(request.tag, qid, iounit(session))


def lcreate(session: Session, request: Tlcreate) -> Rlcreate:
    """Create a regular file in the directory ``fid``; then ``fid`` is that file, open.

    Without O_EXCL a file that exists is opened, as open(2) with O_CREAT does; a link is not
    followed (ELOOP) and nothing else is opened (EISDIR, ENXIO).

    Raises ``OSError``: as ``lopen``, what ``check_name`` says, EEXIST.
    """
    state = unopened(session, request.fid)
    check_name(request.name)
    flags = host_flags(request.flags)
    if request.flags & DOTL_EXCL:
        flags |= os.O_EXCL
    qid = create_file(
        session,
        state,
        request.name,
        flags=flags,
        mode=request.mode & PERMISSIONS,
        owner=new_owner(state, request.gid),
    )
    return Rlcreate(request.tag, qid, iounit(session))


def _open_stream(
    session: Session, state: FidState, request: Tlopen, waiting: MustWait[File]
) -> Message | Parked:
    def answer(file: File, qid: Qid) -> Rlopen:
        if isinstance(file, Stream) and request.flags & DOTL_NONBLOCK:
            file.short_reads.asks_on = AsksOn.PERHAPS
        return Rlopen(request.tag, qid, iounit(session))

    return open_stream(session, state, waiting, answer)


def iounit(session: Session) -> int:
    """As much as a message holds: the transport copies nothing, so no size is better than another.

    0 would mean the same to Linux, but p9fs takes it for leave to send messages above msize.
    """
    return session.msize - IO_HEADER


def new_owner(state: FidState, gid: int) -> Owner:
    """Who owns what is created through a fid: the user who attached it, and the group asked for."""
    return Owner(state.uid, NO_CHANGE if gid == NONUNAME else gid)


def open_fid(session: Session, state: FidState, flags: int) -> Qid:
    """Open the file that a fid stands for, with the host's flags; its qid.

    Raises ``MustWait`` for a stream: ``open_stream`` goes on from there.
    Raises ``OSError``: EISDIR, ELOOP, ENXIO, EMFILE, and what open(2) says.
    """
    limits = session.limits
    slots = limits.cursors if state.node.kind == stat.S_IFDIR else limits.open_files
    slots.check(1)
    file = session.tree.open(state.node, flags)
    slots.take()
    state.set_open(file, slots)
    return session.tree.getattr(state.node)[0]


def create_file(
    session: Session, state: FidState, name: bytes, *, flags: int, mode: int, owner: Owner
) -> Qid:
    """Create a regular file in the directory of a fid, which becomes that file, open; its qid.

    Raises ``OSError`` as ``open_fid`` does, EEXIST.
    """
    slots = session.limits.open_files
    slots.check(1)
    node, file = session.tree.create(state.node, name, flags, mode, owner)
    slots.take()
    state.move(node, session.places.at(state.node, name))
    state.set_open(file, slots)
    return session.tree.getattr(node)[0]


def unopened(session: Session, fid: Fid) -> FidState:
    """A fid that may be opened.  Raises ``OSError``: EBADF, EINVAL when it is open already."""
    state = session.fids[fid]
    if state.is_open or state.given_up is not None:
        raise OSError(errno.EINVAL, f"fid {fid} is open already, or waits for it")
    return state
