"""Modes as 9P2000.u writes them, with DM bits, and as the host does."""

from __future__ import annotations

import errno
import os
import stat
from typing import Final

from protocol.ninep.flags import (
    DMAPPEND,
    DMAUTH,
    DMDEVICE,
    DMDIR,
    DMEXCL,
    DMLINK,
    DMMOUNT,
    DMNAMEDPIPE,
    DMSETGID,
    DMSETUID,
    DMSETVTX,
    DMSOCKET,
    DMSYMLINK,
    DMTMP,
    OACCMODE,
    OAPPEND,
    ORCLOSE,
    OREXEC,
    OTRUNC,
)

DMREG: Final = 0
"""A regular file: no bit of a kind."""

_KINDS: Final = DMDIR | DMSYMLINK | DMLINK | DMDEVICE | DMNAMEDPIPE | DMSOCKET

_NOT_KEPT: Final = DMAPPEND | DMEXCL | DMTMP | DMAUTH | DMMOUNT
"""Properties of a file that Dom0's file systems do not have, so that nobody would keep them."""

_SPECIAL: Final = (
    (DMSETUID, stat.S_ISUID),
    (DMSETGID, stat.S_ISGID),
    (DMSETVTX, stat.S_ISVTX),
)

_KIND_BITS: Final = {
    stat.S_IFDIR: DMDIR,
    stat.S_IFLNK: DMSYMLINK,
    stat.S_IFBLK: DMDEVICE,
    stat.S_IFCHR: DMDEVICE,
    stat.S_IFIFO: DMNAMEDPIPE,
    stat.S_IFSOCK: DMSOCKET,
}

# OEXEC is for reading: whether a file may be executed is for the guest to ask.
_ACCESS: Final = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_RDONLY)
_OPEN_BITS: Final = OACCMODE | OTRUNC | OREXEC | ORCLOSE | OAPPEND


def dotu_mode(mode: int) -> int:
    """The mode of a Stat for a host's ``st_mode``."""
    bits = mode & 0o777 | _KIND_BITS.get(stat.S_IFMT(mode), DMREG)
    for special, host in _SPECIAL:
        if mode & host:
            bits |= special
    return bits


def kind_of(perm: int) -> int:
    """The one DM bit that says what kind of file is to be created; ``DMREG`` if there is none.

    Raises ``OSError`` EINVAL for more than one.
    """
    kind = perm & _KINDS
    if kind & (kind - 1):
        raise OSError(errno.EINVAL, f"more than one kind of file: perm {perm:#x}")
    return kind


def permissions(mode: int) -> int:
    """The host's permission and set-id bits for a 9P2000.u mode; its kind is not looked at.

    Raises ``OSError`` EOPNOTSUPP for append-only, exclusive-use and other files that nobody keeps:
    better none than one that does not do what its owner relies on.
    """
    if mode & _NOT_KEPT:
        raise OSError(errno.EOPNOTSUPP, f"mode {mode:#x}: append-only, exclusive or temporary")
    bits = mode & 0o777
    for special, host in _SPECIAL:
        if mode & special:
            bits |= host
    return bits


def host_flags(mode: int) -> int:
    """The ``os.O_*`` flags for the mode of a Topen or Tcreate.

    OREXEC, to close the file at exec(2), and ORCLOSE are not for open(2).  Linux's O_EXCL is bit
    0x1000 and does not fit the byte.  Raises ``OSError`` EINVAL for a bit that open(5) has not.
    """
    if mode & ~_OPEN_BITS:
        raise OSError(errno.EINVAL, f"open mode {mode:#x}")
    flags = _ACCESS[mode & OACCMODE]
    if mode & OTRUNC:
        flags |= os.O_TRUNC
    if mode & OAPPEND:
        flags |= os.O_APPEND
    return flags
