"""A tree whose disk tells what was synced, and can be told to fail."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree

if TYPE_CHECKING:
    from backend.fileserver.files import File, Pin
    from backend.fileserver.tree import Tree


class WatchedDisk:
    """What reached the disk, in order; ``failure`` is raised by the syncs named in ``failing``."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.failing: set[str] = set()
        self.failure = OSError()

    def fail(self, code: int, *what: str) -> None:
        """From now on, or (with nothing named) no more."""
        self.failure = OSError(code, os.strerror(code))
        self.failing = set(what)

    def wrap(self, tree: Tree) -> Tree:
        return _Tree(tree, self)


class _Tree(ForwardingTree):
    def __init__(self, inner: Tree, disk: WatchedDisk) -> None:
        super().__init__(inner)
        self._disk = disk

    def wrap(self, file: File) -> File:
        return _File(file, self._disk)


class _File(ForwardingFile):
    def __init__(self, inner: File, disk: WatchedDisk) -> None:
        super().__init__(inner)
        self._disk = disk

    def pin(self) -> Pin:
        return _Pin(self.inner, self._disk)


class _Pin:
    def __init__(self, file: File, disk: WatchedDisk) -> None:
        self._pin = file.pin()
        self._disk = disk
        kind = os.fstat(file.fileno()).st_mode
        self._what = "directory" if stat.S_ISDIR(kind) else "file"

    def sync(self, *, data_only: bool) -> None:
        if self._what in self._disk.failing:
            raise self._disk.failure
        self._pin.sync(data_only=data_only)
        self._disk.synced.append(self._what)

    def close(self) -> None:
        self._pin.close()
