"""The served directory, asked in 9P2000.u; what Linux checks before it asks is checked here."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from protocol.ninep.flags import (
    DMDIR,
    DMNAMEDPIPE,
    DMSETGID,
    DMSETUID,
    DMSETVTX,
    DMSOCKET,
    DMSYMLINK,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
)
from tests.backend.fileserver.dotu_client import DotuClient

from .served import NSEC, ServedSide
from .side import Kept

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Stat

    from .side import Path

_ACCESS: Final = {os.O_RDONLY: OREAD, os.O_WRONLY: OWRITE, os.O_RDWR: ORDWR}
_KINDS: Final = {
    DMDIR: stat.S_IFDIR,
    DMSYMLINK: stat.S_IFLNK,
    DMNAMEDPIPE: stat.S_IFIFO,
    DMSOCKET: stat.S_IFSOCK,
}
_SPECIAL: Final = {DMSETUID: stat.S_ISUID, DMSETGID: stat.S_ISGID, DMSETVTX: stat.S_ISVTX}


def said(found: Kept) -> Kept:
    """What of a file's attributes this dialect can say."""
    return found._replace(nlink=0, blocks=0, rdev=0)


def perm_of(mode: int) -> int:
    """The wire's permissions for ``st_mode``'s."""
    return mode & 0o777 | sum(dm for dm, bit in _SPECIAL.items() if mode & bit)


def mode_of(perm: int) -> int:
    """``st_mode`` for the wire's."""
    kind = next((kind for dm, kind in _KINDS.items() if perm & dm), stat.S_IFREG)
    return kind | perm & 0o777 | sum(bit for dm, bit in _SPECIAL.items() if perm & dm)


class DotuSide(ServedSide[DotuClient]):
    def _check_directory(self, fid: Fid, *, wanted: bool) -> None:
        if bool(self._client.stat(fid).mode & DMDIR) != wanted:
            code = errno.ENOTDIR if wanted else errno.EISDIR
            raise OSError(code, "a directory, or none")

    def mkdir(self, path: Path, mode: int) -> None:
        self._within(path, lambda fid: self._client.make(path[-1], DMDIR | perm_of(mode), fid=fid))

    def symlink(self, target: bytes, path: Path) -> None:
        self._within(path, lambda fid: self._client.symlink(path[-1], target, fid=fid))

    def mknod(self, path: Path, mode: int) -> None:
        kind = next(dm for dm, kind in _KINDS.items() if kind == stat.S_IFMT(mode))
        self._within(path, lambda fid: self._client.make(path[-1], kind | perm_of(mode), fid=fid))

    def link(self, old: Path, new: Path) -> None:
        self._at(
            old,
            lambda fid: self._within(new, lambda to: self._client.link(fid, new[-1], fid=to)),
        )

    def rename(self, old: Path, new: Path) -> None:
        self._within(old, lambda _fid: None)
        self._at(old, lambda fid: self._client.rename(fid, new[-1]))

    def unlink(self, path: Path) -> None:
        self._at(path, lambda fid: self._check_directory(fid, wanted=False))
        self.remove(path)

    def rmdir(self, path: Path) -> None:
        self._at(path, lambda fid: self._check_directory(fid, wanted=True))
        self.remove(path)

    def create(self, path: Path, flags: int, mode: int) -> Fid:
        assert flags == os.O_EXCL, "this dialect creates, or fails"
        created: Fid = self._within(
            path, lambda fid: self._client.create(path[-1], perm_of(mode), fid=fid)
        )
        return created

    def open(self, path: Path, flags: int) -> Fid:
        mode = _ACCESS[flags & os.O_ACCMODE] | (OTRUNC if flags & os.O_TRUNC else 0)
        return self._client.open(*path, mode=mode)

    def chmod(self, path: Path, mode: int) -> None:
        # The kind goes with the mode, as Linux sends it.
        def body(fid: Fid) -> None:
            kind = self._client.stat(fid).mode & sum(_KINDS)
            self._client.wstat(fid, mode=kind | perm_of(mode))

        self._at(path, body)

    def chown(self, path: Path, uid: int, gid: int) -> None:
        self._at(path, lambda fid: self._client.wstat(fid, n_uid=uid, n_gid=gid))

    def utime(self, path: Path, mtime: int) -> None:
        when = mtime // NSEC
        self._at(path, lambda fid: self._client.wstat(fid, atime=when, mtime=when))

    def readlink(self, path: Path) -> bytes:
        def body(fid: Fid) -> bytes:
            if not self._client.stat(fid).mode & DMSYMLINK:
                raise OSError(errno.EINVAL, "no symbolic link")
            return self._client.readlink(fid)

        target: bytes = self._at(path, body)
        return target

    def names(self, path: Path) -> list[bytes]:
        self._at(path, lambda fid: self._check_directory(fid, wanted=True))
        return sorted(self._client.names(*path))

    def fstat(self, handle: Fid) -> Kept:
        found: Stat = self._client.stat(handle)
        directory = found.mode & DMDIR
        size = 0 if directory else found.length
        return said(Kept(mode_of(found.mode), found.n_uid, found.n_gid, 0, size, 0, 0))

    def mtime(self, path: Path) -> int:
        found: Stat = self._at(path, self._client.stat)
        return found.mtime * NSEC

    def xattrs(self, path: Path) -> Mapping[bytes, bytes]:
        raise AssertionError(f"this dialect has no extended attributes: {path!r}")

    def setxattr(self, path: Path, name: bytes, value: bytes, flags: int) -> None:
        raise AssertionError(f"not in this dialect: {path!r} {name!r} {value!r} {flags}")

    def removexattr(self, path: Path, name: bytes) -> None:
        raise AssertionError(f"not in this dialect: {path!r} {name!r}")
