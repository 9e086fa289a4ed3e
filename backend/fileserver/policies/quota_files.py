"""Open files of a tree with a quota: what is written through them is counted, and fits."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.fileserver import ledger_file as at
from backend.fileserver.allocation import growth
from backend.fileserver.inode_table import UNIT
from backend.fileserver.local_files import MAX_OFFSET
from backend.fileserver.policies.forwarding import ForwardingFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backend.fileserver.files import File, Pin
    from backend.fileserver.ledger import Ledger
    from backend.fileserver.policies.quota import QuotaTree


class QuotaFile(ForwardingFile):
    """An open regular file.  Reading goes straight to the inner file.

    Held for itself, and not by a node: a policy may exchange what that stands for.
    """

    __slots__ = ("_appends", "_key", "_max_blocks", "_settled", "_tree", "_words", "read")

    def __init__(self, tree: QuotaTree, inner: File, key: int, *, appends: bool) -> None:
        super().__init__(inner)
        self._tree: Final = tree
        self._words: Final = tree.ledger.words
        self._max_blocks: Final = tree.room.max_blocks
        self._key: Final = key
        self._appends: Final = appends
        self._settled = (-1, -1)
        """The blocks, and ``SHRUNK``, when this file was settled last.  If it has as many blocks
        now, and nothing was found smaller since, then nothing has to be counted."""
        self.read = inner.read  # type: ignore[method-assign]  # the slot of this class, in its place
        tree.ledger.opened(key)

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:
        words = self._words
        if words[at.SPACE] + words[at.SLACK] <= self._max_blocks:
            # Far from the limit: whatever all workers are writing now, it stays below.
            done = self.inner.write(buffers, offset)
            seen = (os.fstat(self.inner.fileno()).st_blocks, words[at.SHRUNK])
            if seen != self._settled:
                self._settled = seen
                self._tree.ledger.settle(self._key, self.inner.fileno())
            return done
        return self._write_near(buffers, offset)

    def pin(self) -> Pin:
        return _HeldPin(self._tree.ledger, self._key, self.inner.pin())

    def ended(self) -> None:
        self._tree.ledger.closed(self._key)

    def _write_near(self, buffers: Sequence[memoryview], offset: int) -> int:
        """Near the limit: what there is room for, whole.  In place there always is."""
        if not self.writable or offset > MAX_OFFSET:
            return self.inner.write(buffers, offset)  # which says why not
        tree, room = self._tree, self._tree.room
        fd, length = self.inner.fileno(), sum(map(len, buffers))
        tree.wait_until_counted()
        while True:
            with tree.ledger.turn():
                start = os.fstat(fd).st_size if self._appends else offset
                more = -(-growth(fd, start, min(start + length, MAX_OFFSET)) // UNIT)
                if room.make(more, 0):
                    try:
                        return self.inner.write(buffers, offset)
                    finally:
                        tree.ledger.settle(self._key, fd)
                refusal = room.full(more)
            if not room.look_again():
                raise refusal


class _HeldPin:
    """A pin of an open file that the ledger knows of: until a sync has ended, nothing is free."""

    __slots__ = ("_inner", "_key", "_ledger")

    def __init__(self, ledger: Ledger, key: int, inner: Pin) -> None:
        self._ledger = ledger
        self._key = key
        self._inner = inner
        ledger.hold_on(key)

    def sync(self, *, data_only: bool) -> None:
        self._inner.sync(data_only=data_only)

    def close(self) -> None:
        self._inner.close()
        self._ledger.let_go_of(self._key)


class HeldFile(ForwardingFile):
    """An open file that nobody writes or reads: it only keeps the inode on disk."""

    __slots__ = ("_key", "_ledger")

    def __init__(self, ledger: Ledger, key: int, inner: File) -> None:
        super().__init__(inner)
        self._ledger = ledger
        self._key = key
        ledger.hold_on(key)

    def ended(self) -> None:
        self._ledger.let_go_of(self._key)
