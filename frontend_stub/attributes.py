"""What a share says about a file and about its file system, in Python's terms."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from protocol.ninep.messages import Qid, Rgetattr, Rstatfs

_BILLION = 1_000_000_000


class Attributes(NamedTuple):
    """A file's attributes, named as in ``os.stat_result`` without the ``st_``; times in ns."""

    qid: Qid
    mode: int
    uid: int
    gid: int
    nlink: int
    rdev: int
    size: int
    blksize: int
    blocks: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, reply: Rgetattr) -> Self:
        """The attributes an Rgetattr carries."""
        return cls(
            reply.qid,
            reply.mode,
            reply.uid,
            reply.gid,
            reply.nlink,
            reply.rdev,
            reply.size,
            reply.blksize,
            reply.blocks,
            reply.atime_sec * _BILLION + reply.atime_nsec,
            reply.mtime_sec * _BILLION + reply.mtime_nsec,
            reply.ctime_sec * _BILLION + reply.ctime_nsec,
        )

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)


class FileSystem(NamedTuple):
    """A file system's room, in bytes, and its number of files."""

    total: int
    free: int
    available: int
    files: int
    files_free: int
    block_size: int
    name_max: int

    @classmethod
    def of(cls, reply: Rstatfs) -> Self:
        """The figures an Rstatfs carries."""
        size = reply.bsize
        return cls(
            reply.blocks * size,
            reply.bfree * size,
            reply.bavail * size,
            reply.files,
            reply.ffree,
            size,
            reply.namelen,
        )
