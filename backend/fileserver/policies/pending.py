"""Files that a guest is writing under ``commit=atomic``: there for the guest, not yet for Dom0.

| what happens | Dom0 sees under the name | the guest sees |
|---|---|---|
| created | nothing | the new file |
| an old file is truncated to be written anew | the old file | the new file |
| the last fid that writes is clunked | the new file, whole and on disk | the same |
| that fails (no space, a broken disk) | what it saw before | the same as Dom0, and the error |
| clunked, but a write had failed | what it saw before | the same as Dom0, and an error |
| a close fails while others write on | what it saw before | the error, from the last close too |
| the session ends before | what it saw before | - |
| removed, or another file renamed over it | nothing, or the other file | the same |
| renamed | what it saw before, an old file renamed as well | the new file under the new name |

Nothing here needs a lock: only ``synced`` runs elsewhere.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver.syncing import entry_synced, synced

if TYPE_CHECKING:
    from backend.fileserver.deferred import Steps
    from backend.fileserver.files import File, Node
    from backend.fileserver.tree import Tree

SEVERAL: Final = -1

Key = tuple[int, bytes]
"""A directory's qid path and a name in it."""


class PendingTable:
    """The pending files of one tree: not more than there are open files."""

    def __init__(self, tree: Tree) -> None:
        """``tree`` is where they get their names."""
        self.tree: Final = tree
        self.by_entry: Final[dict[Key, Pending]] = {}
        self.by_file: Final[dict[int, Pending]] = {}
        """By the qid path of the file that is written."""
        self.last_serial = 0
        self.adopted: Final[dict[int, Pending]] = {}
        """Those that another process had, by their serials."""
        self.changed: set[Pending] | None = None
        """Those that became others, or came to their end, where somebody keeps account of it,"""
        self.exchanged: set[Node] = set()
        """and the nodes that became other files then."""

    def exchange(self, node: Node, other: Node) -> None:
        """They become each other's file."""
        node.exchange(other)
        if self.changed is not None:
            self.exchanged.add(node)

    def at(self, parent: Node, name: bytes) -> Pending | None:
        """The one that is to appear as ``name``."""
        return self.by_entry.get((parent.qid.path, name))

    def numbered(self, serial: int) -> Pending:
        """One of those that were adopted.  Raises ``OSError`` EBADF."""
        pending = self.adopted.get(serial)
        if pending is None:
            raise OSError(errno.EBADF, "no such file is pending")
        return pending

    def within(self, directory: int) -> list[Pending]:
        """Those that are to appear in the directory with this qid path, oldest first."""
        found = [pending for (path, _), pending in self.by_entry.items() if path == directory]
        return sorted(found, key=lambda pending: pending.serial)


class Kept(NamedTuple):
    """What a journal keeps of a pending file."""

    serial: int
    parent: Node | None
    """``None`` where it is not to appear any more."""
    name: bytes
    old: Node | None
    gap: int | None
    discarded: bool


class Pending:
    """One such file, as long as a fid has it open for writing."""

    def __init__(
        self,
        table: PendingTable,
        node: Node,
        file: File,
        entry: tuple[Node, bytes],
        old: Node | None = None,
    ) -> None:
        """``node`` and ``file`` are the unnamed file, which is to appear at ``entry``.

        Takes over ``file``, and ``old``: the file that is to be replaced, which changed places with
        ``node``, so that all who held it see the new one.
        """
        self._table = table
        self._parent: Node | None = entry[0].hold()
        self._old = old
        self.over = False
        """It is published, or given up."""
        self.entry: Node | None = None
        """Where it is published: its directory, until that is synced."""
        self._again = False
        self._writers = 0
        self._discarded = False
        self._closer: object = None
        self.gap: int | None = None
        """Where a write failed, and what was to be there is not; or ``SEVERAL`` such places."""
        self.name = entry[1]
        self.node: Final = node.hold()
        self.file: Final = file
        table.last_serial += 1
        self.serial: Final = table.last_serial
        table.by_entry[entry[0].qid.path, self.name] = self
        table.by_file[node.qid.path] = self
        self._changed()

    @property
    def replaces(self) -> bool:
        """Whether there was a file under the name that is to be replaced."""
        return self._old is not None

    @classmethod
    def adopted(cls, table: PendingTable, node: Node, file: File, kept: Kept) -> Pending:
        """As another process had it; takes over ``file``, and the hold on ``kept.old``."""
        latest, table.last_serial = table.last_serial, kept.serial - 1
        pending = cls(table, node, file, (kept.parent or node, kept.name), kept.old)
        table.last_serial = max(latest, kept.serial)
        if kept.parent is None:
            pending._forget()
        pending.gap, pending._discarded = kept.gap, kept.discarded
        pending._again = True
        table.adopted[kept.serial] = pending
        return pending

    @property
    def kept(self) -> Kept:
        """What ``adopted`` has to know beside node and file."""
        return Kept(
            self.serial, self._parent, self.name, self._old, self.gap, discarded=self._discarded
        )

    def join(self) -> None:
        """A fid opens it for writing."""
        self._writers += 1
        self._closer = None

    def write_failed(self, offset: int) -> None:
        """What was to be written there is missing, until it is written after all."""
        self.gap = offset if self.gap in (None, offset) else SEVERAL
        self._changed()

    def written(self, offset: int) -> None:
        """A write came after one that failed: whoever tries again does so at the same place."""
        if offset == self.gap:
            self.begin_anew()

    def begin_anew(self) -> None:
        """It was truncated to nothing, or is whole again: nothing is missing."""
        self.gap = None
        self._changed()

    def leave(self) -> Steps:
        """A fid that had it open for writing was clunked; the last one publishes.

        Raises ``OSError``: what kept it from the disk or from its name.
        """
        self._writers -= 1
        if self._writers:
            return
        closer = self._closer = object()
        try:
            if self._parent is not None and self._whole:
                yield from synced(self.file)
        except BaseException:
            if self._closer is closer:
                self._abandon()
            # The kernel tells of data that it lost once (fsync(2), EIO): who closes next would hear
            # that all is well.
            self._discarded = True
            self._changed()
            raise
        # Opened again while the disk was waited for: who closes it then publishes.
        if self._closer is closer:
            yield from self._finish()

    def discard(self) -> None:
        """A fid that had it open for writing is gone, and nobody said that it is complete."""
        self._discarded = True
        self._changed()
        self._writers -= 1
        if not self._writers:
            self._abandon()

    def drop(self) -> None:
        """Its name was removed, or given to another file: it is not to appear any more."""
        self._changed()
        self._forget()
        if self._old is not None:
            self._old.release()
            self._old = None

    def move(self, parent: Node, name: bytes) -> None:
        """It is to appear under another name."""
        parent.hold()
        self._leave_entry()
        self._parent, self.name = parent, name
        self._changed()
        self._table.by_entry[parent.qid.path, name] = self

    @property
    def _whole(self) -> bool:
        return not self._discarded and self.gap is None

    def _finish(self) -> Steps:
        parent = self._parent
        if parent is None or not self._whole:
            self._abandon()
            if parent is not None:
                raise OSError(errno.EIO, "it is not whole: a write or another close of it failed")
            return
        try:
            if not (self._again and self._is_published(parent)):
                self._table.tree.publish(self.node, parent, self.name)
        except OSError:
            self._abandon()
            raise
        self.entry = parent.hold()
        try:
            self._end()
            self.file.close()
            yield from entry_synced(self._table.tree, parent)
        finally:
            self.entry = None
            parent.release()

    def _is_published(self, parent: Node) -> bool:
        """Whether another process has done it, which died before it could say so."""
        try:
            found = self._table.tree.lookup(parent, self.name)
        except OSError:
            return False
        found.release()
        return found.qid.path == self.node.qid.path

    def _abandon(self) -> None:
        """Nobody writes it any more, and it does not appear: what it was to replace is back."""
        if self._old is not None:
            self._forget()
            self._table.exchange(self.node, self._old)
        self._end()
        self.file.discard()

    def _end(self) -> None:
        self.over = True
        self.drop()
        self.node.release()

    def _changed(self) -> None:
        if self._table.changed is not None:
            self._table.changed.add(self)

    def _forget(self) -> None:
        self._table.by_file.pop(self.node.qid.path, None)
        self._leave_entry()

    def _leave_entry(self) -> None:
        if self._parent is not None:
            del self._table.by_entry[self._parent.qid.path, self.name]
            self._parent.release()
            self._parent = None
