"""Named files: a directory that exists nowhere, with entries that are given files of Dom0.

A stub domain gets its own state file in a directory that is full of its neighbours', and sees
nothing but that file: a name that is not in the list is unknown, whatever Dom0 has under it.  A
file may come, go and come anew while the share is in use, as libxl's state files do: each name is
looked up when it is asked for, in the directory that was pinned at the start.

The guest may write, create, truncate and remove what is writable, and nothing else.  A rename
would be from one place of Dom0 to another: EXDEV, upon which mv(1) copies.  The files are Dom0's:
their owner stays who it is, and none becomes set-id.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from backend.fileserver.creating import create_or_open
from backend.fileserver.files import NOBODY, Changes, Node
from backend.fileserver.policies.fixed_names import FixedNamesTree
from backend.fileserver.policies.named_directory import NamedDirectory
from backend.fileserver.qids import ShownStatus
from protocol.ninep.flags import QTDIR
from protocol.ninep.messages import Qid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import File, New, OpenNote, Owner, Space
    from backend.fileserver.local_tree import LocalTree
    from backend.fileserver.qids import Status

_WRITES: Final = os.O_ACCMODE | os.O_TRUNC
_SET_ID: Final = stat.S_ISUID | stat.S_ISGID
_NOTHING: Final = Changes()
_ROOT_MODE: Final = stat.S_IFDIR | 0o755


class _Entry(NamedTuple):
    """What a name stands for."""

    directory: Node
    base: bytes
    writable: bool


class _NamedNode(Node):
    """A file by one of its names: two may stand for the same file, and one of them be read-only."""

    __slots__ = ("writable",)

    def __init__(self, found: Node, *, writable: bool) -> None:
        """Take over ``found``, of which the caller was the one holder."""
        super().__init__(found.fd, found.kind, found.qid, found.descriptors)
        self.writable: Final = writable


class NamedFilesTree(FixedNamesTree):
    """The innermost policy: the files are reached through ``inner``, by whose root nothing is."""

    inner: LocalTree
    refusal = (errno.EACCES, "the share has the names it has")

    def __init__(self, inner: LocalTree) -> None:
        """Close ``inner`` at the end.  Raises ``OSError``: EMFILE, and then it stays open."""
        super().__init__(inner)
        self._entries: dict[bytes, _Entry] = {}
        self._directories: dict[int, Node] = {}
        # A file of no file system, so that no system call finds anything below it: ENOTDIR.
        fd = os.memfd_create("named files", os.MFD_CLOEXEC)
        # No other file has its number.  What else is known of it is said here, not there.
        unique = inner.adopt(fd)
        qid = Qid(QTDIR, 0, unique.qid.path)
        self._root: Final = Node(unique.fd, stat.S_IFDIR, qid, unique.descriptors)
        now = time.time_ns()
        self._status = ShownStatus(_ROOT_MODE, 0, qid.path, 2, 0, 0, 0, 0, 4096, 0, now, now, now)

    def add(self, name: bytes, directory_fd: int, base: bytes, *, writable: bool) -> None:
        """Let ``name`` stand for ``base`` in a directory, whose descriptor is taken over.

        Raises ``OSError``: EMFILE.
        """
        directory = self.inner.adopt(directory_fd)
        known = self._directories.setdefault(directory.qid.path, directory)
        if known is not directory:
            directory.release()
        self._entries[name] = _Entry(known, base, writable)

    @property
    def root(self) -> Node:
        return self._root

    def take_root(self, fd: int) -> None:
        """Use another process's root, of the number that clients know.  Raises ``OSError``."""
        os.dup2(fd, self._root.fd, inheritable=False)
        same = self.inner.adopt(os.dup(fd))
        path = same.qid.path
        same.release()
        self._root.qid = self._root.qid._replace(path=path)
        self._status = self._status._replace(st_ino=path)

    def close(self) -> None:
        self._root.release()
        for directory in self._directories.values():
            directory.release()
        self.inner.close()

    def lookup(self, parent: Node, name: bytes) -> Node:
        entry = self._entry(parent, name)
        found = self.inner.lookup(entry.directory, entry.base)
        if found.kind != stat.S_IFREG:
            found.release()
            raise OSError(errno.EACCES, "what Dom0 has under this name is no regular file")
        return _NamedNode(found, writable=entry.writable)

    def parent(self, node: Node) -> Node:
        return self._root.hold()

    def open(self, node: Node, flags: int) -> File:
        if node is self._root:
            if flags & _WRITES:
                raise OSError(errno.EISDIR, "a directory cannot be opened for writing")
            return self._directory()
        if flags & _WRITES:
            _check_writable(node)
        return self.inner.open(node, flags)

    def open_for_locks(self, node: Node, flags: int) -> File:
        if flags & _WRITES:
            _check_writable(node)
        return self.inner.open_for_locks(node, flags)

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        return create_or_open(
            self, lambda: self._create(parent, name, flags, mode), parent, name, flags
        )

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        entry = self._entry_to_write(parent, name)
        node, file = self.inner.create_unnamed(
            entry.directory, entry.base, flags, mode & ~_SET_ID, NOBODY
        )
        return _NamedNode(node, writable=True), file

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        entry = self._entry_to_write(parent, name)
        self.inner.publish(node, entry.directory, entry.base)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        node = self.lookup(parent, name)
        try:
            if directory:
                raise OSError(errno.ENOTDIR, "a file")
            _check_writable(node)
        finally:
            node.release()
        entry = self._entries[name]
        self.inner.unlink(entry.directory, entry.base, directory=False)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        node = self.lookup(old_parent, old_name)
        try:
            if new_parent is not self._root:
                raise OSError(errno.ENOTDIR, "not a directory")
            if old_name == new_name:
                return
            target = self._entries.get(new_name)
            if target is None or not target.writable:
                _refuse()
            _check_writable(node)
        finally:
            node.release()
        raise OSError(errno.EXDEV, "each name is a place of its own")

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        if node is self._root:
            return node.qid, self._status
        return self.inner.getattr(node)

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        if changes == _NOTHING:
            return
        _check_writable(node)
        if changes.mode is not None and changes.mode & _SET_ID:
            raise OSError(errno.EPERM, "a file of Dom0 does not become set-id")
        self.inner.setattr(node, file, changes._replace(owner=NOBODY))

    def xattr_get(self, node: Node, name: bytes) -> bytes:
        if node is self._root:
            raise OSError(errno.ENODATA, "the root has no attributes")
        return self.inner.xattr_get(node, name)

    def xattr_list(self, node: Node) -> list[bytes]:
        return [] if node is self._root else self.inner.xattr_list(node)

    def xattr_values(self, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
        return [None] * len(names) if node is self._root else self.inner.xattr_values(node, names)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        _check_writable(node)
        self.inner.xattr_set(node, name, value, flags)

    def xattr_remove(self, node: Node, name: bytes) -> None:
        _check_writable(node)
        self.inner.xattr_remove(node, name)

    def statfs(self, node: Node) -> Space:
        if node is self._root:
            # Names may be on several file systems; who asks about the root hears of the first.
            return self.inner.statfs(next(iter(self._directories.values()), self.inner.root))
        return self.inner.statfs(node)

    def note(self, node: Node) -> int:
        return int(isinstance(node, _NamedNode) and node.writable)

    def adopt(self, fd: int, note: int = 0) -> Node:
        return _NamedNode(self.inner.adopt(fd), writable=bool(note))

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        if node is self._root:
            return self._directory()
        return self.inner.adopt_open(node, fd, note)

    def locate(self, parent: Node, name: bytes) -> tuple[Node, bytes]:
        entry = self._entry(parent, name)
        return entry.directory, entry.base

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        entry = self._entries.get(name) if parent is self._root else None
        if entry is None or not (entry.writable and stat.S_ISREG(new.mode)):
            return None
        new = new._replace(mode=new.mode & ~_SET_ID, owner=NOBODY)
        return self.inner.finished(entry.directory, entry.base, new)

    def _directory(self) -> NamedDirectory:
        return NamedDirectory(self, list(self._entries), list(self._directories.values()))

    def _entry(self, parent: Node, name: bytes) -> _Entry:
        if parent is not self._root:
            raise OSError(errno.ENOTDIR, "not a directory")
        entry = self._entries.get(name)
        if entry is None:
            raise OSError(errno.ENOENT, "not in the share")
        return entry

    def _create(self, parent: Node, name: bytes, flags: int, mode: int) -> tuple[Node, File]:
        """Make what was not there."""
        entry = self._entry_to_write(parent, name)
        node, file = self.inner.create(
            entry.directory, entry.base, flags | os.O_EXCL, mode & ~_SET_ID, NOBODY
        )
        return _NamedNode(node, writable=True), file

    def _entry_to_write(self, parent: Node, name: bytes) -> _Entry:
        entry = self._entries.get(name) if parent is self._root else None
        if entry is None or not entry.writable:
            self.refuse_new(parent, name)
        return entry


def _check_writable(node: Node) -> None:
    """Raises ``OSError`` EACCES for the root, and for what was found under a read-only name."""
    if not (isinstance(node, _NamedNode) and node.writable):
        _refuse()


def _refuse() -> NoReturn:
    raise OSError(errno.EACCES, "not writable in this share")
