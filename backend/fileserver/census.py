"""Counts what lies under a root, from the root's descriptor alone, and lists the oldest files.

However deep the tree, two descriptors are enough: the way back up is ``..``, which is believed
only if it leads to the very directory that the way down came from.
"""

from __future__ import annotations

import heapq
import logging
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver.root import PIN_DIRECTORY, file_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

log = logging.getLogger(__name__)

MAX_PATH: Final = 4096
"""Bytes of a path that is remembered (``PATH_MAX``); files below deeper ones are never oldest."""

_READ: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OldFile(NamedTuple):
    """A regular file with one name; in the order of age."""

    mtime_ns: int
    path: bytes
    """From the root, names with ``/`` between them."""
    key: int


class Found(NamedTuple):
    """What a census found; space in blocks of 512 bytes."""

    space: int
    files: int
    held: dict[int, int]
    """What it saw of the files that it was asked about: blocks by key."""
    oldest: list[OldFile]


class Census:
    """One count.  Raises ``OSError`` from ``run``, with the path in its text."""

    def __init__(
        self,
        key_of: Callable[[os.stat_result], int],
        held: AbstractSet[int],
        keep: int,
        stopped: Callable[[], bool],
    ) -> None:
        """``keep`` of the oldest files are listed; ``stopped`` is asked once a directory."""
        self._key_of = key_of
        self._watched = held
        self._keep = keep
        self._stopped = stopped
        self._space = 0
        self._files = 0
        self._twins: set[int] = set()
        """Files with several names that were counted under one of them."""
        self._held: dict[int, int] = {}
        self._oldest: list[tuple[int, OldFile]] = []
        """A heap with the youngest of them on top."""
        self._fd = -1
        """The directory that the way has come to."""

    def run(self, root_fd: int) -> Found | None:
        """Count; ``None`` when it was stopped, or the tree was moved about under its hands."""
        self._fd = os.open(b".", _READ, dir_fd=root_fd)
        try:
            status = os.fstat(self._fd)
            # The root is no file under the root, but what its entries take is space in it.
            self._add_space(self._key_of(status), status.st_blocks)
            way = [self._enter(b"")]
            while way:
                if self._stopped():
                    return None
                if way[-1].below:
                    self._descend(way)
                else:
                    way.pop()
                    self._ascend(way)
        except _MovedError:
            return None
        finally:
            os.close(self._fd)
        oldest = sorted(file for _age, file in self._oldest)
        return Found(self._space, self._files, self._held, oldest)

    def _descend(self, way: list[_Level]) -> None:
        """Go into the next directory below, and count what is in it."""
        level = way[-1]
        name = level.below.pop()
        path = _below(level.path, name)
        try:
            below = os.open(name, _READ, dir_fd=self._fd)
        except (FileNotFoundError, NotADirectoryError):
            return  # gone since it was listed
        except OSError as error:
            self._pass_over(name, path, error)
            return
        os.close(self._fd)
        self._fd = below
        way.append(self._enter(path))

    def _ascend(self, way: list[_Level]) -> None:
        """Go back to the last of ``way``, which ought to be above."""
        if way:
            above = os.open(b"..", PIN_DIRECTORY, dir_fd=self._fd)
            os.close(self._fd)
            self._fd = above
            if file_key(above) != way[-1].key:
                raise _MovedError

    def _pass_over(self, name: bytes, path: bytes, error: OSError) -> None:
        """Leave a directory out that the guest cannot use either; raise if it could."""
        status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        if status.st_uid == os.geteuid():
            # The guest may have taken these permissions away, and can give them back.
            raise OSError(error.errno, f"cannot count {path!r}: {error.strerror}") from None
        log.warning("quota: %r is not counted: %s", path, error.strerror)

    def _enter(self, path: bytes) -> _Level:
        """Count what is in the directory that the way has come to."""
        below = []
        prefix = path + b"/" if path else b""
        with os.scandir(self._fd) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                key = self._key_of(status)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFDIR:
                    below.append(os.fsencode(entry.name))
                elif status.st_nlink > 1:
                    if key in self._twins:
                        continue
                    self._twins.add(key)
                elif kind == stat.S_IFREG and self._keep:
                    name = prefix + os.fsencode(entry.name)
                    self._remember(OldFile(status.st_mtime_ns, name, key))
                self._files += 1
                self._add_space(key, status.st_blocks)
        return _Level(file_key(self._fd), path, below)

    def _add_space(self, key: int, blocks: int) -> None:
        self._space += blocks
        if key in self._watched:
            self._held[key] = blocks

    def _remember(self, file: OldFile) -> None:
        if len(file.path) > MAX_PATH:
            return
        if len(self._oldest) < self._keep:
            heapq.heappush(self._oldest, (-file.mtime_ns, file))
        elif file.mtime_ns < -self._oldest[0][0]:
            heapq.heapreplace(self._oldest, (-file.mtime_ns, file))


def _below(path: bytes, name: bytes) -> bytes:
    """The path of what is in a directory.

    One that is too long stays as it is, and is the same object however deep the guest goes on: a
    path of its own for each level would be a page of memory for every page of directory.
    """
    if len(path) > MAX_PATH:
        return path
    return path + b"/" + name if path else name


class _Level(NamedTuple):
    """A directory on the way down from the root."""

    key: tuple[int, int]
    path: bytes
    below: list[bytes]
    """Names of directories in it that are still to be counted."""


class _MovedError(Exception):
    """``..`` leads elsewhere than to where the way came from."""
