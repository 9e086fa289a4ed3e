"""The served directory, asked in 9P2000.L."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from protocol.ninep.flags import (
    AT_REMOVEDIR,
    DOTL_APPEND,
    DOTL_EXCL,
    DOTL_RDONLY,
    DOTL_RDWR,
    DOTL_TRUNC,
    DOTL_WRONLY,
    SETATTR_ATIME,
    SETATTR_ATIME_SET,
    SETATTR_GID,
    SETATTR_MODE,
    SETATTR_MTIME,
    SETATTR_MTIME_SET,
    SETATTR_UID,
)
from tests.backend.fileserver.client import Client

from .served import NSEC, ServedSide
from .side import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Rgetattr

    from .side import Path

_ACCESS: Final = {os.O_RDONLY: DOTL_RDONLY, os.O_WRONLY: DOTL_WRONLY, os.O_RDWR: DOTL_RDWR}
_FLAGS: Final = {os.O_EXCL: DOTL_EXCL, os.O_TRUNC: DOTL_TRUNC, os.O_APPEND: DOTL_APPEND}


def wire_flags(flags: int) -> int:
    """9P's numbers for the host's."""
    wire = _ACCESS[flags & os.O_ACCMODE]
    for host, dotl in _FLAGS.items():
        wire |= dotl if flags & host else 0
    return wire


class DotlSide(ServedSide[Client]):
    def _check_directory(self, fid: Fid, *, wanted: bool) -> None:
        if stat.S_ISDIR(self._client.getattr(fid).mode) != wanted:
            raise OSError(errno.ENOTDIR if wanted else errno.EISDIR, "a directory, or none")

    def mkdir(self, path: Path, mode: int) -> None:
        self._within(path, lambda fid: self._client.mkdir(path[-1], mode, fid=fid))

    def symlink(self, target: bytes, path: Path) -> None:
        self._within(path, lambda fid: self._client.symlink(path[-1], target, fid=fid))

    def mknod(self, path: Path, mode: int) -> None:
        self._within(path, lambda fid: self._client.mknod(path[-1], mode, fid=fid))

    def link(self, old: Path, new: Path) -> None:
        self._at(
            old, lambda fid: self._within(new, lambda to: self._client.link(fid, new[-1], to=to))
        )

    def rename(self, old: Path, new: Path) -> None:
        self._within(
            old,
            lambda fid: self._within(
                new, lambda to: self._client.rename(old[-1], new[-1], fid=fid, to=to)
            ),
        )

    def unlink(self, path: Path) -> None:
        self._within(path, lambda fid: self._client.unlink(path[-1], fid=fid))

    def rmdir(self, path: Path) -> None:
        self._within(path, lambda fid: self._client.unlink(path[-1], AT_REMOVEDIR, fid=fid))

    def create(self, path: Path, flags: int, mode: int) -> Fid:
        wire = wire_flags(flags | os.O_RDWR)
        created: Fid = self._within(
            path, lambda fid: self._client.create(path[-1], wire, mode, fid=fid)
        )
        return created

    def open(self, path: Path, flags: int) -> Fid:
        return self._client.open(*path, flags=wire_flags(flags))

    def chmod(self, path: Path, mode: int) -> None:
        self._at(path, lambda fid: self._client.setattr(fid, SETATTR_MODE, mode=mode))

    def chown(self, path: Path, uid: int, gid: int) -> None:
        valid = SETATTR_UID | SETATTR_GID
        self._at(path, lambda fid: self._client.setattr(fid, valid, uid=uid, gid=gid))

    def utime(self, path: Path, mtime: int) -> None:
        valid = SETATTR_ATIME | SETATTR_ATIME_SET | SETATTR_MTIME | SETATTR_MTIME_SET
        sec, nsec = divmod(mtime, NSEC)
        fields = {"atime_sec": sec, "atime_nsec": nsec, "mtime_sec": sec, "mtime_nsec": nsec}
        self._at(path, lambda fid: self._client.setattr(fid, valid, **fields))

    def readlink(self, path: Path) -> bytes:
        target: bytes = self._at(path, self._client.readlink)
        return target

    def names(self, path: Path) -> list[bytes]:
        return sorted(self._client.names(*path))

    def fstat(self, handle: Fid) -> Kept:
        found: Rgetattr = self._client.getattr(handle)
        directory = stat.S_ISDIR(found.mode)
        return Kept(
            found.mode,
            found.uid,
            found.gid,
            found.nlink,
            0 if directory else found.size,
            0 if directory else found.blocks,
            found.rdev,
        )

    def mtime(self, path: Path) -> int:
        found: Rgetattr = self._at(path, self._client.getattr)
        return found.mtime_sec * NSEC + found.mtime_nsec

    def xattrs(self, path: Path) -> Mapping[bytes, bytes]:
        def body(fid: Fid) -> dict[bytes, bytes]:
            names = self._client.getxattr(fid).split(b"\0")[:-1]
            return {name: self._client.getxattr(fid, name) for name in names}

        found: dict[bytes, bytes] = self._at(path, body)
        return found

    def setxattr(self, path: Path, name: bytes, value: bytes, flags: int) -> None:
        self._at(path, lambda fid: self._client.setxattr(fid, name, value, flags))

    def removexattr(self, path: Path, name: bytes) -> None:
        self._at(path, lambda fid: self._client.removexattr(fid, name))
