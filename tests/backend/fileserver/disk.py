"""A tree whose disk tells what was synced, and can be told to fail.

What can fail: the syncs of a ``file`` and a ``directory``, to ``write`` and to ``close`` a file, to
``list`` and to ``set`` attributes.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import File, Node, Pin
    from backend.fileserver.tree import Tree


class WatchedDisk:
    """What reached the disk, in order; ``failure`` is raised by what is named in ``failing``."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.failing: set[str] = set()
        self.failure = OSError()

    def fail(self, code: int, *what: str) -> None:
        """From now on, or (with nothing named) no more."""
        self.failure = OSError(code, os.strerror(code))
        self.failing = set(what)

    def check(self, what: str) -> None:
        if what in self.failing:
            raise self.failure

    def wrap(self, tree: Tree) -> Tree:
        return _Tree(tree, self)


class _Tree(ForwardingTree):
    def __init__(self, inner: Tree, disk: WatchedDisk) -> None:
        super().__init__(inner)
        self._disk = disk

    def wrap(self, file: File) -> File:
        return _File(file, self._disk)

    def xattr_list(self, node: Node) -> list[bytes]:
        self._disk.check("list")
        return super().xattr_list(node)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        self._disk.check("set")
        super().xattr_set(node, name, value, flags)


class _File(ForwardingFile):
    def __init__(self, inner: File, disk: WatchedDisk) -> None:
        super().__init__(inner)
        self._disk = disk

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        self._disk.check("write")
        return super().write(buffers, offset)

    def pin(self) -> Pin:
        return _Pin(self.inner, self._disk)

    def close(self) -> None:
        super().close()
        self._disk.check("close")


class _Pin:
    def __init__(self, file: File, disk: WatchedDisk) -> None:
        self._pin = file.pin()
        self._disk = disk
        kind = os.fstat(file.fileno()).st_mode
        self._what = "directory" if stat.S_ISDIR(kind) else "file"

    def sync(self, *, data_only: bool) -> None:
        self._disk.check(self._what)
        self._pin.sync(data_only=data_only)
        self._disk.synced.append(self._what)

    def close(self) -> None:
        self._pin.close()
