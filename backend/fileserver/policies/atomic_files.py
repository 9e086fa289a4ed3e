"""Open files and directories of a tree whose new files appear when they are whole."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from backend.fileserver.deferred import run_now
from backend.fileserver.packing import pack
from backend.fileserver.policies.forwarding import ForwardingFile
from backend.fileserver.unnamed import HIDDEN_PREFIX
from protocol.ninep.flags import DT_REG
from protocol.ninep.messages import Dirent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend.fileserver.deferred import Steps
    from backend.fileserver.files import File, Node, OpenNote
    from backend.fileserver.policies.pending import Pending, PendingTable
    from protocol.ninep.messages import Qid

UNTOUCHED: Final = 1
"""Of ``OpenNote.flags``."""

_PENDING_COOKIE: Final = 1 << 63
"""Positions of pending files: where no file system has any, because ``loff_t`` has a sign."""


class AtomicFile(ForwardingFile):
    """A regular file open for writing: a pending one, or one that is changed in place."""

    __slots__ = ("_in_place", "_pending", "flags", "node", "untouched")

    def __init__(
        self, inner: File, flags: int, node: Node, in_place: dict[int, AtomicFile]
    ) -> None:
        """``node`` is held by the fid; ``in_place`` are the files that are changed in place, by
        descriptor, because that is all that can be asked of a file inside another policy's.
        """
        super().__init__(inner)
        self._in_place = in_place
        self._pending: Pending | None = None
        self.flags: Final = flags
        self.node: Final = node
        self.untouched = True
        """Nothing was written through it."""
        in_place[inner.fileno()] = self

    @property
    def closed(self) -> bool:
        """As ``files.Closing``."""
        return self._pending is not None and self._pending.over

    @property
    def entry(self) -> Node | None:
        """As ``files.Closing``."""
        return None if self._pending is None else self._pending.entry

    def note(self) -> OpenNote | None:
        note = self.inner.note()
        if note is None:
            return None
        if self._pending is not None:
            return note._replace(serial=self._pending.serial)
        return note._replace(flags=UNTOUCHED if self.untouched else 0)

    def join(self, pending: Pending, inner: File) -> None:
        """Go on as a writer of a pending file, through ``inner``; close what was open before."""
        del self._in_place[self.inner.fileno()]
        before, self.inner = self.inner, inner
        self._pending = pending
        pending.join()
        if before is not inner:
            before.close()

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        self.untouched = False
        pending = self._pending
        if pending is None:
            return self.inner.write(buffers, offset)
        try:
            done = self.inner.write(buffers, offset)
        except OSError:
            pending.write_failed(offset)
            raise
        if pending.gap is not None:
            pending.written(offset)
        return done

    def close(self) -> None:
        steps = self.closing()
        if steps is not None:
            run_now(steps)
        else:
            del self._in_place[self.inner.fileno()]
            self.inner.close()

    def closing(self) -> Steps | None:
        return None if self._pending is None else self._leaving(self._pending)

    def discard(self) -> None:
        pending = self._pending
        if pending is None:
            del self._in_place[self.inner.fileno()]
        try:
            if pending is None or self.inner is not pending.file:
                self.inner.discard()
        finally:
            if pending is not None:
                pending.discard()

    def _leaving(self, pending: Pending) -> Steps:
        try:
            # The file that was opened first is the pending one's own, until it is published.
            if self.inner is not pending.file:
                inner, self.inner = self.inner, pending.file
                inner.close()
        except BaseException:
            pending.discard()
            raise
        yield from pending.leave()


class AtomicDirectory(ForwardingFile):
    """An open directory, with the pending files that are to appear in it, without hidden names."""

    __slots__ = ("_node", "_table")

    def __init__(self, inner: File, table: PendingTable, node: Node) -> None:
        """``node`` is the directory; its fid holds it."""
        super().__init__(inner)
        self._table = table
        self._node = node

    def entries(self, cookie: int) -> Iterator[Dirent]:
        if cookie > _PENDING_COOKIE | self._table.last_serial:
            raise OSError(errno.EINVAL, f"{cookie} is no position in a directory")
        return self._entries(cookie)

    def _entries(self, cookie: int) -> Iterator[Dirent]:
        table, node = self._table, self._node
        if cookie <= _PENDING_COOKIE:
            for entry in self.inner.entries(cookie):
                if entry.name.startswith(HIDDEN_PREFIX):
                    continue
                pending = table.at(node, entry.name)
                yield entry if pending is None else entry._replace(qid=_qid(pending))
        for pending in table.within(node.qid.path):
            place = _PENDING_COOKIE | pending.serial
            if place > cookie and not self._listed(pending.name):
                yield Dirent(_qid(pending), place, DT_REG, pending.name)

    def pack_entries(self, cookie: int, room: int) -> bytes:
        # As fast as without this policy, unless there is something to show or to hide.
        if cookie < _PENDING_COOKIE and not self._table.within(self._node.qid.path):
            data = self.inner.pack_entries(cookie, room)
            if HIDDEN_PREFIX not in data:
                return data
        return pack(self.entries(cookie), room)

    def _listed(self, name: bytes) -> bool:
        """Whether Dom0 has an entry of this name, which was listed under it."""
        try:
            self._table.tree.lookup(self._node, name).release()
        except OSError:
            return False
        return True


def _qid(pending: Pending) -> Qid:
    return pending.node.qid._replace(version=0)
