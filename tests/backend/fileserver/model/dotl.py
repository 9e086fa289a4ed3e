"""The served directory, asked in 9P2000.L."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any, Final

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
from protocol.ninep.messages import (
    Rgetattr,
    Tlink,
    Tmknod,
    Treadlink,
    Tsymlink,
    Txattrcreate,
    Txattrwalk,
)
from tests.backend.fileserver.client import NO_ID, ROOT, TAG, Client

from .side import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.ninep.ids import Fid

    from .side import Path

_NSEC: Final = 1_000_000_000
_ACCESS: Final = {os.O_RDONLY: DOTL_RDONLY, os.O_WRONLY: DOTL_WRONLY, os.O_RDWR: DOTL_RDWR}
_FLAGS: Final = {os.O_EXCL: DOTL_EXCL, os.O_TRUNC: DOTL_TRUNC, os.O_APPEND: DOTL_APPEND}


def wire_flags(flags: int) -> int:
    """9P's numbers for the host's."""
    wire = _ACCESS[flags & os.O_ACCMODE]
    for host, dotl in _FLAGS.items():
        wire |= dotl if flags & host else 0
    return wire


class DotlSide:
    def __init__(self, client: Client) -> None:
        self._client = client

    def _at(self, path: Path, body: Callable[[Fid], Any]) -> Any:
        """Walk to ``path``, do something with it, and clunk the fid."""
        fid = self._client.walk(*path)
        try:
            return body(fid)
        finally:
            self._client.clunk(fid)

    def _within(self, path: Path, body: Callable[[Fid], Any]) -> Any:
        """Do something in ``path``'s directory; that it is one, the guest's kernel knows."""

        def checked(fid: Fid) -> Any:
            if not stat.S_ISDIR(self._client.getattr(fid).mode):
                raise OSError(errno.ENOTDIR, "not a directory")
            return body(fid)

        return self._at(path[:-1], checked)

    def mkdir(self, path: Path, mode: int) -> None:
        self._within(path, lambda fid: self._client.mkdir(path[-1], mode, fid=fid))

    def symlink(self, target: bytes, path: Path) -> None:
        self._within(
            path, lambda fid: self._client.call(Tsymlink(TAG, fid, path[-1], target, NO_ID))
        )

    def mknod(self, path: Path, mode: int) -> None:
        self._within(
            path, lambda fid: self._client.call(Tmknod(TAG, fid, path[-1], mode, 0, 0, NO_ID))
        )

    def link(self, old: Path, new: Path) -> None:
        self._at(
            old,
            lambda fid: self._within(
                new, lambda to: self._client.call(Tlink(TAG, to, fid, new[-1]))
            ),
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

    def remove(self, path: Path) -> None:
        self._client.remove(self._client.walk(*path))

    def create(self, path: Path, flags: int, mode: int) -> Fid:
        wire = wire_flags(flags | os.O_RDWR)
        created: Fid = self._within(
            path, lambda fid: self._client.create(path[-1], wire, mode, fid=fid)
        )
        return created

    def open(self, path: Path, flags: int) -> Fid:
        return self._client.open(*path, flags=wire_flags(flags))

    def close(self, handle: Fid) -> None:
        self._client.clunk(handle)

    def read(self, handle: Fid, count: int, offset: int) -> bytes:
        return self._client.read(handle, count, offset, split=count // 2)

    def write(self, handle: Fid, data: bytes, offset: int) -> int:
        return self._client.write(handle, data, offset, split=len(data) // 3)

    def fsync(self, handle: Fid) -> None:
        self._client.fsync(handle)

    def truncate(self, path: Path, size: int) -> None:
        self._at(path, lambda fid: self._client.truncate(fid, size))

    def ftruncate(self, handle: Fid, size: int) -> None:
        self._client.truncate(handle, size)

    def chmod(self, path: Path, mode: int) -> None:
        self._at(path, lambda fid: self._client.setattr(fid, SETATTR_MODE, mode=mode))

    def chown(self, path: Path, uid: int, gid: int) -> None:
        valid = SETATTR_UID | SETATTR_GID
        self._at(path, lambda fid: self._client.setattr(fid, valid, uid=uid, gid=gid))

    def utime(self, path: Path, mtime: int) -> None:
        valid = SETATTR_ATIME | SETATTR_ATIME_SET | SETATTR_MTIME | SETATTR_MTIME_SET
        sec, nsec = divmod(mtime, _NSEC)
        fields = {"atime_sec": sec, "atime_nsec": nsec, "mtime_sec": sec, "mtime_nsec": nsec}
        self._at(path, lambda fid: self._client.setattr(fid, valid, **fields))

    def readlink(self, path: Path) -> bytes:
        target: bytes = self._at(path, lambda fid: self._client.call(Treadlink(TAG, fid)).target)
        return target

    def names(self, path: Path) -> list[bytes]:
        return sorted(self._client.names(*path))

    def stat(self, path: Path) -> Kept:
        found: Kept = self._at(path, self.fstat)
        return found

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
        return found.mtime_sec * _NSEC + found.mtime_nsec

    def xattrs(self, path: Path) -> Mapping[bytes, bytes]:
        def body(fid: Fid) -> dict[bytes, bytes]:
            names = self._xattr(fid, b"").split(b"\0")[:-1]
            return {name: self._xattr(fid, name) for name in names}

        found: dict[bytes, bytes] = self._at(path, body)
        return found

    def _xattr(self, fid: Fid, name: bytes) -> bytes:
        newfid = self._client.fid()
        size = self._client.call(Txattrwalk(TAG, fid, newfid, name)).size
        try:
            return self._client.read(newfid, size)
        finally:
            self._client.clunk(newfid)

    def setxattr(self, path: Path, name: bytes, value: bytes, flags: int) -> None:
        fid = self._client.walk(*path)
        try:
            self._client.call(Txattrcreate(TAG, fid, name, len(value), flags))
            self._client.write(fid, value)
        except OSError:
            self._client.clunk(fid)
            raise
        self._client.clunk(fid)  # the attribute is set here

    def removexattr(self, path: Path, name: bytes) -> None:
        # Linux's client sets an empty value with XATTR_REPLACE, and means: remove.
        self.setxattr(path, name, b"", os.XATTR_REPLACE)


def root_only(client: Client) -> bool:
    """Whether the client holds nothing but the root."""
    return client.in_use() == {ROOT}
