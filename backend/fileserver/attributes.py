"""Tgetattr, Tsetattr, Tstatfs."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import NO_CHANGE, Changes, Owner
from backend.fileserver.opening import PERMISSIONS
from backend.fileserver.syscalls import NOW, OMIT, Timespec
from protocol.ninep.flags import (
    GETATTR_BASIC,
    SETATTR_ALL,
    SETATTR_ATIME,
    SETATTR_ATIME_SET,
    SETATTR_CTIME,
    SETATTR_GID,
    SETATTR_MODE,
    SETATTR_MTIME,
    SETATTR_MTIME_SET,
    SETATTR_SIZE,
    SETATTR_UID,
)
from protocol.ninep.ids import NONUNAME
from protocol.ninep.messages import Rgetattr, Rsetattr, Rstatfs
from protocol.ninep.unchecked import unchecked

if TYPE_CHECKING:
    from backend.fileserver.session import Session
    from protocol.ninep.messages import Tgetattr, Tsetattr, Tstatfs

V9FS_MAGIC: Final = 0x0102_1997
"""``f_type`` of every 9P mount (linux/magic.h): the host's own type is not the guest's business."""

NSEC: Final = 1_000_000_000
_U64: Final = 0xFFFF_FFFF_FFFF_FFFF
_SIGN: Final = 1 << 63


def getattr(session: Session, request: Tgetattr) -> Rgetattr:  # noqa: A001 -- the message's name
    """The attributes that stat(2) knows, as far as they were asked for; no time of birth.

    A fid's node is the file itself, so this is right after unlink or rename, open or not.

    Raises ``OSError``: EBADF, and what fstat(2) says.
    """
    qid, status = session.tree.getattr(session.fids[request.fid].node)
    # Before 1970 the seconds are negative: two's complement, as Linux reads them.
    atime_sec, atime_nsec = divmod(status.st_atime_ns, NSEC)
    mtime_sec, mtime_nsec = divmod(status.st_mtime_ns, NSEC)
    ctime_sec, ctime_nsec = divmod(status.st_ctime_ns, NSEC)
    values = (
        request.tag,
        request.request_mask & GETATTR_BASIC,
        qid,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_nlink,
        status.st_rdev,
        status.st_size,
        status.st_blksize,
        status.st_blocks,
        atime_sec & _U64,
        atime_nsec,
        mtime_sec & _U64,
        mtime_nsec,
        ctime_sec & _U64,
        ctime_nsec,
        0,
        0,
        0,
        0,
    )
    return unchecked(Rgetattr, values)


def setattr(session: Session, request: Tsetattr) -> Rsetattr:  # noqa: A001 -- the message's name
    """Change the attributes whose bits are set; of a symbolic link, its own.

    A size goes through the fid's open file, if it is open for writing.  What was changed before
    an error stays changed.

    Raises ``OSError``: EBADF, EINVAL (an unknown bit, nanoseconds of a second or more), EFBIG,
    EOPNOTSUPP for the mode of a link, and what the system calls say.
    """
    state = session.fids[request.fid]
    valid = request.valid
    if valid & ~SETATTR_ALL:
        raise OSError(errno.EINVAL, f"valid {valid:#x}")
    changes = Changes(
        mode=request.mode & PERMISSIONS if valid & SETATTR_MODE else None,
        owner=Owner(
            _owner(request.uid) if valid & SETATTR_UID else NO_CHANGE,
            _owner(request.gid) if valid & SETATTR_GID else NO_CHANGE,
        ),
        size=request.size if valid & SETATTR_SIZE else None,
        atime=_time(
            valid & SETATTR_ATIME, valid & SETATTR_ATIME_SET, request.atime_sec, request.atime_nsec
        ),
        mtime=_time(
            valid & SETATTR_MTIME, valid & SETATTR_MTIME_SET, request.mtime_sec, request.mtime_nsec
        ),
        touch=valid == SETATTR_CTIME,
    )
    session.tree.setattr(state.node, state.file if state.is_open else None, changes)
    return Rsetattr(request.tag)


def statfs(session: Session, request: Tstatfs) -> Rstatfs:
    """How much room there is on the file system under a fid.  Raises ``OSError``: EBADF..."""
    space = session.tree.statfs(session.fids[request.fid].node)
    return Rstatfs(request.tag, V9FS_MAGIC, *space)


def _owner(number: int) -> int:
    return NO_CHANGE if number == NONUNAME else number


def _time(wanted: int, given: int, sec: int, nsec: int) -> Timespec:
    if not wanted:
        return OMIT
    if not given:
        return NOW
    # This also keeps UTIME_NOW and UTIME_OMIT out, which are no times.
    if nsec >= NSEC:
        raise OSError(errno.EINVAL, f"{nsec} nanoseconds")
    return Timespec(sec - (1 << 64) if sec & _SIGN else sec, nsec)
