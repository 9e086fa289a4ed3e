"""The plain directory: ``os`` and the kernel, nothing of the server."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from .side import Kept

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .side import Path

_STEP: Final = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY


def kept(found: os.stat_result) -> Kept:
    """What is compared; a directory's own size is the file system's business."""
    directory = stat.S_ISDIR(found.st_mode)
    return Kept(
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_nlink,
        0 if directory else found.st_size,
        0 if directory else found.st_blocks,
        found.st_rdev,
    )


class PlainSide:
    def __init__(
        self,
        root: str,
        *,
        said: Callable[[Kept], Kept] = lambda found: found,
        group_of_directory: bool = False,
    ) -> None:
        """``said`` leaves out what the dialect of the other side cannot say.

        ``group_of_directory``: what is created has its directory's group, as create(5) wants.
        """
        self._group_of_directory = group_of_directory
        self._said = said
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY)

    def finish(self) -> None:
        os.close(self._root)

    @contextlib.contextmanager
    def _parent(self, path: Path) -> Iterator[int]:
        """The directory that ``path`` lies in, found without following links."""
        fd = os.dup(self._root)
        try:
            for name in path[:-1]:
                below = os.open(name, _STEP, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _pinned(self, path: Path) -> Iterator[str]:
        """The file itself, as a path that leads to it and nowhere else."""
        with self._parent(path) as parent:
            fd = os.open(path[-1] if path else b".", os.O_PATH | os.O_NOFOLLOW, dir_fd=parent)
        try:
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)

    def mkdir(self, path: Path, mode: int) -> None:
        with self._parent(path) as parent:
            os.mkdir(path[-1], mode, dir_fd=parent)
            self._settle(path[-1], parent)
            os.chmod(path[-1], mode, dir_fd=parent)

    def symlink(self, target: bytes, path: Path) -> None:
        with self._parent(path) as parent:
            os.symlink(target, path[-1], dir_fd=parent)
            self._settle(path[-1], parent)

    def mknod(self, path: Path, mode: int) -> None:
        with self._parent(path) as parent:
            os.mknod(path[-1], mode, dir_fd=parent)
            self._settle(path[-1], parent)

    def _settle(self, name: bytes, parent: int) -> None:
        if self._group_of_directory:
            group = os.fstat(parent).st_gid
            os.chown(name, -1, group, dir_fd=parent, follow_symlinks=False)

    def link(self, old: Path, new: Path) -> None:
        with self._parent(old) as source:
            os.stat(old[-1], dir_fd=source, follow_symlinks=False)
            with self._parent(new) as target:
                os.link(
                    old[-1], new[-1], src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False
                )

    def rename(self, old: Path, new: Path) -> None:
        with self._parent(old) as source, self._parent(new) as target:
            os.rename(old[-1], new[-1], src_dir_fd=source, dst_dir_fd=target)

    def unlink(self, path: Path) -> None:
        with self._parent(path) as parent:
            os.unlink(path[-1], dir_fd=parent)

    def rmdir(self, path: Path) -> None:
        with self._parent(path) as parent:
            os.rmdir(path[-1], dir_fd=parent)

    def remove(self, path: Path) -> None:
        with self._parent(path) as parent:
            mode = os.stat(path[-1], dir_fd=parent, follow_symlinks=False).st_mode
            (os.rmdir if stat.S_ISDIR(mode) else os.unlink)(path[-1], dir_fd=parent)

    def create(self, path: Path, flags: int, mode: int) -> int:
        with self._parent(path) as parent:
            created = self._open(path[-1], flags | os.O_RDWR | os.O_CREAT, parent, mode)
            self._settle(path[-1], parent)
            return created

    def open(self, path: Path, flags: int) -> int:
        with self._parent(path) as parent:
            return self._open(path[-1], flags, parent)

    def _open(self, name: bytes, flags: int, parent: int, mode: int = 0) -> int:
        # O_NONBLOCK: a FIFO is refused with ENXIO (write only) and not waited for; both sides are
        # asked for FIFOs and sockets only where the answer is the same.
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=parent)

    def close(self, handle: int) -> None:
        os.close(handle)

    def read(self, handle: int, count: int, offset: int) -> bytes:
        return os.pread(handle, count, offset)

    def write(self, handle: int, data: bytes, offset: int) -> int:
        return os.pwrite(handle, data, offset)

    def fsync(self, handle: int) -> None:
        os.fsync(handle)

    def truncate(self, path: Path, size: int) -> None:
        with self._pinned(path) as pinned:
            os.truncate(pinned, size)

    def ftruncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)

    def chmod(self, path: Path, mode: int) -> None:
        with self._pinned(path) as pinned:
            os.chmod(pinned, mode)

    def chown(self, path: Path, uid: int, gid: int) -> None:
        with self._pinned(path) as pinned:
            os.chown(pinned, uid, gid)

    def utime(self, path: Path, mtime: int) -> None:
        with self._pinned(path) as pinned:
            os.utime(pinned, ns=(mtime, mtime))

    def readlink(self, path: Path) -> bytes:
        with self._parent(path) as parent:
            return os.readlink(path[-1], dir_fd=parent)

    def names(self, path: Path) -> list[bytes]:
        with self._pinned(path) as pinned:
            fd = os.open(pinned, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return sorted(map(os.fsencode, os.listdir(fd)))
        finally:
            os.close(fd)

    def stat(self, path: Path) -> Kept:
        with self._parent(path) as parent:
            return self._said(kept(os.stat(path[-1], dir_fd=parent, follow_symlinks=False)))

    def mtime(self, path: Path) -> int:
        with self._parent(path) as parent:
            return os.stat(path[-1], dir_fd=parent, follow_symlinks=False).st_mtime_ns

    def fstat(self, handle: int) -> Kept:
        return self._said(kept(os.fstat(handle)))

    def xattrs(self, path: Path) -> dict[bytes, bytes]:
        with self._pinned(path) as pinned:
            names = [name for name in os.listxattr(pinned) if name.startswith("user.")]
            return {os.fsencode(name): os.getxattr(pinned, name) for name in names}

    def setxattr(self, path: Path, name: bytes, value: bytes, flags: int) -> None:
        with self._pinned(path) as pinned:
            os.setxattr(pinned, name, value, flags)

    def removexattr(self, path: Path, name: bytes) -> None:
        with self._pinned(path) as pinned:
            os.removexattr(pinned, name)
