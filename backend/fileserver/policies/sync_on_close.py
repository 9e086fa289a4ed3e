"""Sync on close: when the clunk of a file that was open for writing is answered, it is on disk.

For a file that was created, that means its entry in the directory, too: after a power cut, data
without a name are lost (fsync(2)).  The waiting is done in steps, so that the guest's other
requests go on meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.fileserver.deferred import run_now
from backend.fileserver.policies.forwarding import ForwardingFile, ForwardingTree
from backend.fileserver.syncing import closed, entry_synced, synced

if TYPE_CHECKING:
    from backend.fileserver.deferred import Steps
    from backend.fileserver.files import File, Node, OpenNote, Owner
    from backend.fileserver.tree import Tree


class SyncOnCloseTree(ForwardingTree):
    """Around everything that writes; a policy inside may have steps of its own for closing."""

    def wrap(self, file: File) -> File:
        return _SyncedFile(file) if file.writable else file

    def create(
        self, parent: Node, name: bytes, flags: int, mode: int, owner: Owner
    ) -> tuple[Node, File]:
        # Whether the file is new is not told.  One sync too many does not hurt.
        node, file = self.inner.create(parent, name, flags, mode, owner)
        return node, _CreatedFile(file, self.inner, parent)

    def adopt_open(self, node: Node, fd: int, note: OpenNote) -> File:
        file = self.inner.adopt_open(node, fd, note)
        return (
            self.wrap(file) if note.parent is None else _CreatedFile(file, self.inner, note.parent)
        )


class _SyncedFile(ForwardingFile):
    """A file that was opened for writing."""

    __slots__ = ("_closed",)

    def __init__(self, inner: File) -> None:
        super().__init__(inner)
        self._closed = False

    @property
    def closed(self) -> bool:
        """As ``files.Closing``."""
        return self._closed or getattr(self.inner, "closed", False)

    @property
    def entry(self) -> Node | None:
        """As ``files.Closing``."""
        return None if self._closed else getattr(self.inner, "entry", None)

    def close(self) -> None:
        run_now(self.closing())

    def closing(self) -> Steps:
        try:
            yield from synced(self.inner)
        except BaseException:
            # Data that did not reach the disk must not be published as if they had.
            self.inner.discard()
            raise
        yield from closed(self.inner)
        self._closed = True


class _CreatedFile(_SyncedFile):
    """A file that may be new: whatever it was opened for, its directory has changed."""

    __slots__ = ("_parent", "_tree")

    def __init__(self, inner: File, tree: Tree, parent: Node) -> None:
        super().__init__(inner)
        self._tree = tree
        self._parent = parent.hold()

    @property
    def entry(self) -> Node | None:
        return self._parent if self.closed else None

    def note(self) -> OpenNote | None:
        note = self.inner.note()
        return None if note is None else note._replace(parent=self._parent)

    def closing(self) -> Steps:
        try:
            yield from super().closing()
            yield from entry_synced(self._tree, self._parent)
        finally:
            self.ended()

    def ended(self) -> None:
        self._parent.release()
