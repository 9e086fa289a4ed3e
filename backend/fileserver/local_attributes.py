"""Owner, mode and times of Dom0's inodes, and how full their file system is.

``proc`` is a descriptor of /proc/self/fd: a name below it leads to the very inode that another
descriptor pins, whatever has become of its name; a symbolic link's is the link itself.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import NOBODY, Space
from backend.fileserver.syscalls import OMIT, utimensat

if TYPE_CHECKING:
    from backend.fileserver.files import Changes, Node, Owner

_SET_ID: Final = stat.S_ISUID | stat.S_ISGID


def check_changes(node: Node, changes: Changes) -> None:
    """Raises ``OSError`` EOPNOTSUPP for the mode of a link, before anything is changed."""
    if changes.mode is not None and node.kind == stat.S_IFLNK:
        # Kernels before 6.6 change it and then report that they did not.
        raise OSError(errno.EOPNOTSUPP, "a symbolic link has no mode of its own")


def change(proc: int, fd: int, changes: Changes) -> None:
    """All but the size.  Owner before mode, because a change of owner clears set-id bits.

    An owner that this process may not give stays as it was, without an error: a guest whose files
    all belong to the worker's user could not unpack an archive otherwise.

    Raises ``OSError``: what chmod(2), chown(2) and utimensat(2) say.
    """
    inode = b"%d" % fd
    if changes.touch:
        os.chown(inode, *NOBODY, dir_fd=proc)
    if changes.owner != NOBODY:
        with suppress(PermissionError):
            os.chown(inode, *changes.owner, dir_fd=proc)
    if changes.mode is not None:
        os.chmod(inode, changes.mode, dir_fd=proc)
    if changes.atime != OMIT or changes.mtime != OMIT:
        utimensat(inode, changes.atime, changes.mtime, dir_fd=proc)


def settle(proc: int, fd: int, mode: int, owner: Owner) -> None:
    """Give a new file its owner, as far as this process may (security model "none"), and its
    set-id bits, which chown(2) takes away and mkdir(2) does not set.
    """
    inode = b"%d" % fd
    if owner != NOBODY:
        with suppress(OSError):
            os.chown(inode, owner.uid, owner.gid, dir_fd=proc)
    if mode & _SET_ID:
        with suppress(OSError):
            os.chmod(inode, mode, dir_fd=proc)


def space(fd: int) -> Space:
    """The file system that an inode is on.  Raises ``OSError``."""
    # f_blocks counts units of f_frsize (statvfs(3)); 9P has one size only, and Linux multiplies
    # by that.
    found = os.fstatvfs(fd)
    return Space(
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_fsid,
        found.f_namemax,
    )
