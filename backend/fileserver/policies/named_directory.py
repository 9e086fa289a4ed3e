"""The root of a share of named files, open: the names whose files are there now."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from backend.fileserver.files import OpenNote
from backend.fileserver.local_files import MAX_OFFSET
from backend.fileserver.packing import pack
from protocol.ninep.flags import DT_DIR, DT_REG
from protocol.ninep.messages import Dirent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.fileserver.files import File, Node, Pin
    from backend.fileserver.local_tree import LocalTree
    from backend.fileserver.policies.named_files import NamedFilesTree

_DOTS: Final = (b".", b"..")


class NamedDirectory:
    """``files.File``.  A position is a place in the list of names, so it holds for ever."""

    writable: Final = False

    def __init__(self, tree: NamedFilesTree, names: list[bytes], directories: list[Node]) -> None:
        """``directories`` are where the names are in Dom0."""
        self._tree: Final = tree
        self._names: Final = names
        self._directories: Final = directories

    def fileno(self) -> int:
        return self._tree.root.fd

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        raise OSError(errno.EISDIR, "a directory is read by Treaddir")

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        raise OSError(errno.EBADF, "a directory is never open for writing")

    def entries(self, cookie: int) -> Iterator[Dirent]:
        if cookie > MAX_OFFSET:
            raise OSError(errno.EINVAL, f"{cookie} is no position in a directory")
        return self._entries(cookie)

    def _entries(self, cookie: int) -> Iterator[Dirent]:
        root = self._tree.root
        for place, name in enumerate(_DOTS, 1):
            if place > cookie:
                yield Dirent(root.qid, place, DT_DIR, name)
        for place, name in enumerate(self._names, len(_DOTS) + 1):
            if place <= cookie:
                continue
            try:
                node = self._tree.lookup(root, name)
            except (FileNotFoundError, PermissionError):
                continue  # not there now, or nothing that the guest could open
            qid = node.qid._replace(version=0)
            node.release()
            yield Dirent(qid, place, DT_REG, name)

    def pack_entries(self, cookie: int, room: int) -> bytes:
        return pack(self.entries(cookie), room)

    def pin(self) -> Pin:
        """To sync this directory is to sync where its entries are."""
        return _Pins(self._tree.inner, self._directories)

    def note(self) -> OpenNote | None:
        return OpenNote()

    def close(self) -> None:
        """Nothing is held."""

    def closing(self) -> None:
        """Nothing to wait for."""

    def discard(self) -> None:
        """Nothing is held."""


class _Pins:
    """Several open directories, to be synced together."""

    def __init__(self, tree: LocalTree, directories: list[Node]) -> None:
        self._files: Final[list[File]] = []
        self._pins: Final[list[Pin]] = []
        try:
            for directory in directories:
                self._files.append(tree.open(directory, os.O_RDONLY))
                self._pins.append(self._files[-1].pin())
        except OSError:
            self.close()
            raise

    def sync(self, *, data_only: bool) -> None:
        for pin in self._pins:
            pin.sync(data_only=data_only)

    def close(self) -> None:
        for pin in self._pins:
            pin.close()
        for file in self._files:
            file.close()
