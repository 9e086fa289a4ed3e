"""Tsymlink, Treadlink, Tmknod, Tlink: names that are more, or less, than a regular file's."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import Device
from backend.fileserver.names import check_name
from backend.fileserver.opening import PERMISSIONS, new_owner
from protocol.ninep.messages import Rlink, Rmknod, Rreadlink, Rsymlink

if TYPE_CHECKING:
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tlink, Tmknod, Treadlink, Tsymlink

MAX_TARGET: Final = 4095
"""Bytes of a symbolic link's target: ``PATH_MAX`` less the NUL that the kernel counts."""

MAX_RREADLINK: Final = 8192
"""Bytes of a whole Rreadlink: Linux drops a longer one, whatever msize is (net/9p/client.c)."""

_RREADLINK_HEAD: Final = 9  # size[4] type[1] tag[2] and the length of target[s]

_NODE_KINDS: Final = frozenset(
    (stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
)


def symlink(session: Session, request: Tsymlink) -> Rsymlink:
    """Create a symbolic link in the directory ``fid``, which may be open.

    The target is the guest's business: it may lead anywhere in the guest, and nobody here follows.

    Raises ``OSError``: EBADF, what ``check_name`` and ``check_target`` say, EEXIST, and what
    symlink(2) says.
    """
    state = session.fids[request.fid]
    check_name(request.name)
    check_target(request.symtgt)
    owner = new_owner(state, request.gid)
    qid = session.tree.symlink(state.node, request.name, request.symtgt, owner)
    return Rsymlink(request.tag, qid)


def readlink(session: Session, request: Treadlink) -> Rreadlink:
    """Where a symbolic link points.

    Raises ``OSError``: EBADF, EINVAL for anything but a link, ENAMETOOLONG where the target does
    not fit a message, and what readlink(2) says.
    """
    target = session.tree.readlink(session.fids[request.fid].node)
    if _RREADLINK_HEAD + len(target) > min(session.msize, MAX_RREADLINK):
        raise OSError(errno.ENAMETOOLONG, f"a target of {len(target)} bytes does not fit a message")
    return Rreadlink(request.tag, target)


def mknod(session: Session, request: Tmknod) -> Rmknod:
    """Create a FIFO, a socket or an empty regular file; a device only where the tree maps those.

    Raises ``OSError``: EBADF, what ``check_name`` says, EPERM for a device or directory, EINVAL for
    a kind that mknod(2) does not know, EEXIST, and what mknod(2) says.
    """
    state = session.fids[request.dfid]
    check_name(request.name)
    kind = stat.S_IFMT(request.mode) or stat.S_IFREG  # none: a regular file (mknod(2))
    if kind == stat.S_IFDIR:
        raise OSError(errno.EPERM, "a directory is made by Tmkdir")
    if kind not in _NODE_KINDS:
        raise OSError(errno.EINVAL, f"mode {request.mode:#o}")
    qid = session.tree.mknod(
        state.node,
        request.name,
        kind | request.mode & PERMISSIONS,
        Device(request.major, request.minor),
        new_owner(state, request.gid),
    )
    return Rmknod(request.tag, qid)


def link(session: Session, request: Tlink) -> Rlink:
    """Give the file ``fid`` one more name, ``name`` in the directory ``dfid``.

    The very file, whatever its first name leads to by now; a symbolic link itself.

    Raises ``OSError``: EBADF, what ``check_name`` says, EPERM for a directory, ENOENT for a file
    that has no name left, EEXIST, and what link(2) says.
    """
    parent = session.fids[request.dfid].node
    node = session.fids[request.fid].node
    check_name(request.name)
    session.tree.link(node, parent, request.name)
    return Rlink(request.tag)


def check_target(target: bytes) -> None:
    """Let pass what symlink(2) takes: 1 to 4095 bytes, none of them NUL.

    Raises ``OSError``: ENOENT for the empty target (as the kernel does), ENAMETOOLONG, EINVAL.
    """
    if not target:
        raise OSError(errno.ENOENT, "an empty target")
    if len(target) > MAX_TARGET:
        raise OSError(errno.ENAMETOOLONG, f"a target of {len(target)} bytes: {MAX_TARGET} at most")
    if b"\0" in target:
        raise OSError(errno.EINVAL, "a target must not hold NUL")
