"""Topen, Tcreate: a fid becomes an open file, or a new one of any kind."""

from __future__ import annotations

import errno
import os
import re
import stat
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from backend.fileserver.dotu.listing import StatDirectory
from backend.fileserver.dotu.modes import DMREG, host_flags, kind_of, permissions
from backend.fileserver.files import Device, Owner
from backend.fileserver.linking import check_target
from backend.fileserver.names import check_name
from backend.fileserver.opening import create_file, iounit, open_fid, unopened
from backend.fileserver.opening_streams import open_stream
from backend.fileserver.parked import MustWait
from protocol.ninep.flags import (
    DMDEVICE,
    DMDIR,
    DMLINK,
    DMNAMEDPIPE,
    DMSOCKET,
    DMSYMLINK,
    OEXEC,
    ORCLOSE,
    OREAD,
)
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Rcreate, Ropen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backend.fileserver.fids import FidState
    from backend.fileserver.files import Node
    from backend.fileserver.parked import Parked
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Message, Qid, Tcreate, Topen

_FID: Final = re.compile(rb"([0-9]{1,10})\n?")
"""Linux ends the number with a newline."""

_DEVICE: Final = re.compile(rb"([bc]) ([0-9]{1,10}) ([0-9]{1,10})")


def open_(session: Session, request: Topen) -> Message | Parked:
    """Open a regular file or a directory; a directory's data are its entries' stats.  A stream is
    opened perhaps later.

    With ORCLOSE the file's name is removed when the fid is clunked, or the session ends.

    Raises ``OSError``: EBADF, EINVAL (already open, an unknown bit), EISDIR (write, truncate or
    ORCLOSE a directory), ELOOP for a symbolic link, ENXIO for a device, FIFO or socket, EMFILE,
    and what open(2) says.
    """
    state = unopened(session, request.fid)
    flags = host_flags(request.mode)
    to_be_removed = bool(request.mode & ORCLOSE)
    if to_be_removed and state.node.kind == stat.S_IFDIR:
        raise OSError(errno.EISDIR, "a directory cannot be removed by closing it")
    try:
        qid = open_state(session, state, flags)
    except MustWait as waiting:
        if to_be_removed:
            waiting.release()
            raise OSError(errno.EPERM, "a stream is not removed") from None
        return open_stream(
            session, state, waiting, lambda _file, qid: Ropen(request.tag, qid, iounit(session))
        )
    state.remove_on_close = to_be_removed
    return Ropen(request.tag, qid, iounit(session))


def create(session: Session, request: Tcreate) -> Rcreate:
    """Create a file of the kind that ``perm`` says in the directory ``fid``; then ``fid`` is it.

    A regular file and a directory are open then.  Of the other kinds there is nothing to open: such
    a fid can be stat'ed, clunked and so on.  A name that exists is EEXIST, as open(5) needs: Linux
    cannot pass O_EXCL on in this dialect, so that every creation has to be exclusive.

    The group is the directory's (open(5)).  Permissions are those that were asked for, as Linux
    expects: open(5) would take away what the directory does not allow.

    Raises ``OSError``: EBADF; EINVAL (already open; more than one kind; anything but a regular file
    to be written, truncated or removed on close; an extension that does not fit the kind); what
    ``check_name``, ``check_target`` and ``permissions`` say; EEXIST, ENOTDIR, EMFILE; EPERM for a
    device.
    """
    state = unopened(session, request.fid)
    check_name(request.name)
    make = _MAKERS[kind_of(request.perm)]
    qid = make(session, state, request, permissions(request.perm))
    return Rcreate(request.tag, qid, iounit(session))


def open_state(session: Session, state: FidState, flags: int) -> Qid:
    """Open what a fid stands for; its qid.  Raises ``MustWait``, ``OSError`` as ``open_fid``."""
    qid = open_fid(session, state, flags)
    if state.node.kind == stat.S_IFDIR:
        state.file = StatDirectory(state.file, session.tree, state.node, iounit(session))
    return qid


def _make_file(session: Session, state: FidState, request: Tcreate, mode: int) -> Qid:
    flags = host_flags(request.mode) | os.O_EXCL
    owner = owner_of(session, state)
    qid = create_file(session, state, request.name, flags=flags, mode=mode, owner=owner)
    state.remove_on_close = bool(request.mode & ORCLOSE)
    return qid


def _make_directory(session: Session, state: FidState, request: Tcreate, mode: int) -> Qid:
    _check_read_only(request)
    session.limits.cursors.check(1)
    session.tree.mkdir(state.node, request.name, mode, owner_of(session, state))
    become_entry(session, state, request.name)
    return open_state(session, state, os.O_RDONLY)


def _make_symlink(session: Session, state: FidState, request: Tcreate, _mode: int) -> Qid:
    _check_read_only(request)
    check_target(request.extension)
    session.tree.symlink(state.node, request.name, request.extension, owner_of(session, state))
    return become_entry(session, state, request.name)


def _make_link(session: Session, state: FidState, request: Tcreate, _mode: int) -> Qid:
    """``extension`` names, in digits, a fid of the file that gets one more name."""
    _check_read_only(request)
    match = _FID.fullmatch(request.extension)
    if match is None:
        raise OSError(errno.EINVAL, f"a fid's number is wanted, not {request.extension!r}")
    node = session.fids[Fid(int(match[1]))].node
    session.tree.link(node, state.node, request.name)
    return become(session, state, node.hold(), request.name)


def _make_device(session: Session, state: FidState, request: Tcreate, mode: int) -> Qid:
    kind, device = device_of(request)
    return _make_node(session, state, request, kind | mode, device)


def device_of(request: Tcreate) -> tuple[int, Device]:
    """Kind and numbers: ``extension`` is ``b`` or ``c``, the major and the minor number.

    Raises ``OSError`` EINVAL.
    """
    match = _DEVICE.fullmatch(request.extension)
    if match is None:
        raise OSError(errno.EINVAL, f"not a device: {request.extension!r}")
    kind = stat.S_IFBLK if match[1] == b"b" else stat.S_IFCHR
    return kind, Device(int(match[2]), int(match[3]))


def _make_fifo(session: Session, state: FidState, request: Tcreate, mode: int) -> Qid:
    return _make_node(session, state, request, stat.S_IFIFO | mode, NO_DEVICE)


def _make_socket(session: Session, state: FidState, request: Tcreate, mode: int) -> Qid:
    return _make_node(session, state, request, stat.S_IFSOCK | mode, NO_DEVICE)


def _make_node(
    session: Session, state: FidState, request: Tcreate, mode: int, device: Device
) -> Qid:
    _check_read_only(request)
    session.tree.mknod(state.node, request.name, mode, device, owner_of(session, state))
    return become_entry(session, state, request.name)


NO_DEVICE: Final = Device(0, 0)

_MAKERS: Final[Mapping[int, Callable[[Session, FidState, Tcreate, int], Qid]]] = MappingProxyType(
    {
        DMREG: _make_file,
        DMDIR: _make_directory,
        DMSYMLINK: _make_symlink,
        DMLINK: _make_link,
        DMDEVICE: _make_device,
        DMNAMEDPIPE: _make_fifo,
        DMSOCKET: _make_socket,
    }
)
"""By the kind in ``perm``: each makes the file, has the fid become it, and gives its qid."""


def _check_read_only(request: Tcreate) -> None:
    if request.mode not in (OREAD, OEXEC):
        raise OSError(errno.EINVAL, f"mode {request.mode:#x} for what is no regular file")


def owner_of(session: Session, state: FidState) -> Owner:
    """To whom belongs what is created in the directory of a fid."""
    _qid, directory = session.tree.getattr(state.node)
    return Owner(state.uid, directory.st_gid)


def become_entry(session: Session, state: FidState, name: bytes) -> Qid:
    """Have the fid of a directory stand for an entry of it."""
    return become(session, state, session.tree.lookup(state.node, name), name)


def become(session: Session, state: FidState, node: Node, name: bytes) -> Qid:
    """Have the fid stand for the new file, whose hold is taken over."""
    state.move(node, session.places.at(state.node, name))
    return session.tree.getattr(node)[0]
