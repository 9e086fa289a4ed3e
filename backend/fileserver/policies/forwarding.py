"""The policy that changes nothing: forwards each operation of a tree and of its open files.

The base of the others, so that each holds only what it is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.fileserver.packing import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backend.fileserver.deferred import Steps
    from backend.fileserver.files import (
        Changes,
        Device,
        File,
        New,
        Node,
        OpenNote,
        Owner,
        Pin,
        Space,
    )
    from backend.fileserver.qids import Status
    from backend.fileserver.tree import Tree
    from protocol.ninep.messages import Dirent, Qid


class ForwardingFile:
    """``files.File`` around another; which see for what each method does.

    There are three ways in which it ends; each calls ``ended``.
    """

    __slots__ = ("inner", "writable")

    def __init__(self, inner: File) -> None:
        self.inner = inner
        self.writable = inner.writable

    def fileno(self) -> int:
        return self.inner.fileno()

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        return self.inner.read(buffers, offset)

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        return self.inner.write(buffers, offset)

    def entries(self, cookie: int) -> Iterable[Dirent]:
        return self.inner.entries(cookie)

    def pack_entries(self, cookie: int, room: int) -> bytes:
        # A policy that filters or changes entries is never passed by, and one that does not costs
        # nothing: the inner file's own way is several times faster.
        if type(self).entries is ForwardingFile.entries:
            return self.inner.pack_entries(cookie, room)
        return pack(self.entries(cookie), room)

    def pin(self) -> Pin:
        return self.inner.pin()

    def note(self) -> OpenNote | None:
        return self.inner.note()

    def ended(self) -> None:
        """The file is not open any more: what a policy holds for it is to be given back."""

    def close(self) -> None:
        try:
            self.inner.close()
        finally:
            self.ended()

    def closing(self) -> Steps | None:
        steps = self.inner.closing()
        return None if steps is None else self._ending(steps)

    def discard(self) -> None:
        try:
            self.inner.discard()
        finally:
            self.ended()

    def _ending(self, steps: Steps) -> Steps:
        try:
            yield from steps
        finally:
            self.ended()


class ForwardingTree:
    """``tree.Tree`` around another; which see for what each method does."""

    def __init__(self, inner: Tree) -> None:
        self.inner = inner

    @property
    def root(self) -> Node:
        return self.inner.root

    def wrap(self, file: File) -> File:
        """What ``open`` and ``create`` hand out in place of ``file``."""
        return file

    def lookup(self, parent: Node, name: bytes) -> Node:
        return self.inner.lookup(parent, name)

    def parent(self, node: Node) -> Node:
        return self.inner.parent(node)

    def open(self, node: Node, flags: int) -> File:
        return self.wrap(self.inner.open(node, flags))

    def open_for_locks(self, node: Node, flags: int) -> File:
        return self.inner.open_for_locks(node, flags)

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        node, file = self.inner.create(parent, name, flags, mode, owner)
        return node, self.wrap(file)

    def create_unnamed(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        node, file = self.inner.create_unnamed(parent, name, flags, mode, owner)
        return node, self.wrap(file)

    def publish(self, node: Node, parent: Node, name: bytes) -> None:
        self.inner.publish(node, parent, name)

    def mkdir(self, parent: Node, name: bytes, mode: int, owner: Owner) -> Qid:
        return self.inner.mkdir(parent, name, mode, owner)

    def symlink(self, parent: Node, name: bytes, target: bytes, owner: Owner) -> Qid:
        return self.inner.symlink(parent, name, target, owner)

    def mknod(self, parent: Node, name: bytes, mode: int, device: Device, owner: Owner) -> Qid:
        return self.inner.mknod(parent, name, mode, device, owner)

    def link(self, node: Node, parent: Node, name: bytes) -> None:
        self.inner.link(node, parent, name)

    def readlink(self, node: Node) -> bytes:
        return self.inner.readlink(node)

    def unlink(self, parent: Node, name: bytes, *, directory: bool) -> None:
        self.inner.unlink(parent, name, directory=directory)

    def rename(self, old_parent: Node, old_name: bytes, new_parent: Node, new_name: bytes) -> None:
        self.inner.rename(old_parent, old_name, new_parent, new_name)

    def getattr(self, node: Node) -> tuple[Qid, Status]:
        return self.inner.getattr(node)

    def setattr(self, node: Node, file: File | None, changes: Changes) -> None:
        self.inner.setattr(node, file, changes)

    def xattr_get(self, node: Node, name: bytes) -> bytes:
        return self.inner.xattr_get(node, name)

    def xattr_values(self, node: Node, names: Sequence[bytes]) -> list[bytes | None]:
        return self.inner.xattr_values(node, names)

    def xattr_list(self, node: Node) -> list[bytes]:
        return self.inner.xattr_list(node)

    def xattr_set(self, node: Node, name: bytes, value: bytes, flags: int) -> None:
        self.inner.xattr_set(node, name, value, flags)

    def xattr_remove(self, node: Node, name: bytes) -> None:
        self.inner.xattr_remove(node, name)

    def statfs(self, node: Node) -> Space:
        return self.inner.statfs(node)

    def note(self, node: Node) -> int:
        return self.inner.note(node)

    def adopt(self, fd: int, note: int = 0) -> Node:
        return self.inner.adopt(fd, note)

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        return self.wrap(self.inner.adopt_open(node, fd, note))

    def adopt_for_locks(self, node: Node, fd: int) -> File:
        return self.inner.adopt_for_locks(node, fd)

    def locate(self, parent: Node, name: bytes) -> tuple[Node, bytes]:
        return self.inner.locate(parent, name)

    def finished(self, parent: Node, name: bytes, new: New) -> Qid | None:
        return self.inner.finished(parent, name, new)

    def close(self) -> None:
        self.inner.close()
