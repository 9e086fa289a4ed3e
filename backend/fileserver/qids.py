"""Qids: the numbers by which a client tells files apart, and sees that one has changed."""

from __future__ import annotations

import errno
import stat
from typing import Final, NamedTuple, Protocol, Self

from protocol.ninep.flags import QTDIR, QTFILE, QTSYMLINK
from protocol.ninep.messages import Qid
from protocol.ninep.unchecked import unchecked

_INO_BITS: Final = 48
_INO_MASK: Final = (1 << _INO_BITS) - 1
_MAX_PREFIXES: Final = 1 << (64 - _INO_BITS)

_TYPES: Final = {stat.S_IFDIR: QTDIR, stat.S_IFLNK: QTSYMLINK}


class Status(Protocol):
    """What stat(2) says of a file: ``os.stat_result``, or a policy's own view of one."""

    @property
    def st_mode(self) -> int:
        """Kind and permissions."""

    @property
    def st_dev(self) -> int:
        """The file system's device number."""

    @property
    def st_ino(self) -> int:
        """The file's number there."""

    @property
    def st_nlink(self) -> int:
        """Names it has."""

    @property
    def st_uid(self) -> int:
        """Owner."""

    @property
    def st_gid(self) -> int:
        """Group."""

    @property
    def st_rdev(self) -> int:
        """For a device node, its device number."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_blksize(self) -> int:
        """Bytes that are best read or written at once."""

    @property
    def st_blocks(self) -> int:
        """Units of 512 bytes on disk."""

    @property
    def st_atime_ns(self) -> int:
        """Last read, nanoseconds since 1970."""

    @property
    def st_mtime_ns(self) -> int:
        """Last change of content."""

    @property
    def st_ctime_ns(self) -> int:
        """Last change of content or attributes."""


class ShownStatus(NamedTuple):
    """A ``Status`` that says something else than stat(2) does."""

    st_mode: int
    st_dev: int
    st_ino: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_rdev: int
    st_size: int
    st_blksize: int
    st_blocks: int
    st_atime_ns: int
    st_mtime_ns: int
    st_ctime_ns: int

    @classmethod
    def of(cls, status: Status) -> Self:
        """The same; ``_replace`` then says what is to be another."""
        return cls(*(getattr(status, name) for name in cls._fields))


class QidSpace:
    """Gives each ``(device, inode)`` of one export its own 64-bit path.

    A file on the export's own file system with an inode number below 2**48 has that number as its
    path, in every process and for ever.  Others (file systems mounted below the root, very large
    inode numbers) get the low 48 bits under a prefix that is numbered in order of appearance; no
    two ever share a path.
    """

    __slots__ = ("_prefixes", "_root_dev")

    def __init__(self, root_dev: int) -> None:
        self._root_dev = root_dev
        self._prefixes = {(root_dev, 0): 0}

    @property
    def prefixes(self) -> int:
        """How many there are: a path under one of these is a file's own for ever."""
        return len(self._prefixes)

    def plain_up_to(self, dev: int) -> int:
        """Inode numbers of ``dev`` up to this one are their own paths; -1: none is."""
        return _INO_MASK if dev == self._root_dev else -1

    def path(self, dev: int, ino: int) -> int:
        """The qid path.

        Raises ``OSError`` EOVERFLOW after 65,536 prefixes: Dom0's mounts need them, a guest cannot
        make one.
        """
        if dev == self._root_dev and ino <= _INO_MASK:
            return ino
        key = (dev, ino >> _INO_BITS)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = len(self._prefixes)
            if prefix >= _MAX_PREFIXES:
                raise OSError(errno.EOVERFLOW, "too many file systems under the export's root")
            self._prefixes[key] = prefix
        return prefix << _INO_BITS | ino & _INO_MASK

    def qid(self, status: Status) -> Qid:
        """The qid of a file from what stat(2) says.  Raises ``OSError`` as ``path`` does.

        The version of a regular file follows its mtime and size, so that a client that caches
        sees a change made elsewhere; it is never 0, which to Linux means: do not cache at all.
        Two changes of equal size within one tick of the file system's clock are not told apart.
        """
        kind = stat.S_IFMT(status.st_mode)
        path = self.path(status.st_dev, status.st_ino)
        if kind != stat.S_IFREG:
            return unchecked(Qid, (_TYPES.get(kind, QTFILE), 0, path))
        mtime = status.st_mtime_ns
        version = (mtime ^ mtime >> 32 ^ status.st_size * 0x9E37_79B1) & 0xFFFF_FFFF
        return unchecked(Qid, (QTFILE, version or 1, path))
