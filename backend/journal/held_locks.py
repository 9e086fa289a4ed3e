"""The record locks that a session holds, written down one by one.

The kernel knows them as one open file description's for each file, which stays open when a worker
dies.  What it does not know, is whose of the session each is, and the fid that it goes with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backend.fileserver.locks import LockOwner, Span
from backend.journal.layout import LOCK, Slot
from protocol.ninep.ids import Fid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from backend.fileserver.fids import FidState
    from backend.fileserver.locked_files import LockedFile
    from backend.fileserver.session import Session

    Holder = tuple[LockedFile, LockOwner]
    """One owner at one file."""


class HeldLocks:
    """Where each is written."""

    def __init__(self, write: Callable[[Slot], int], retire: Callable[[int, int], None]) -> None:
        """``write`` puts a slot where it holds from its commit on, ``retire`` ends one with one."""
        self._write = write
        self._retire = retire
        self._slots: dict[Holder, dict[Span, int]] = {}

    def note(self, commit: int, changed: set[Holder]) -> None:
        """Write down what these hold now."""
        for holder in changed:
            locked, owner = holder
            before, now = self._slots.pop(holder, {}), {}
            for span in locked.spans(owner):
                slot = before.pop(span, None)
                now[span] = self._put(commit, holder, span) if slot is None else slot
            for slot in before.values():
                self._retire(slot, commit)
            if now:
                self._slots[holder] = now
        changed.clear()

    def restore(self, slots: Iterable[tuple[int, Slot]], session: Session) -> None:
        """Hold what the worker before us held.

        Raises ``OSError``, ``LookupError`` where a descriptor or a fid is not what it was.
        """
        files: dict[int, LockedFile] = {}
        for index, slot in slots:
            state = session.fids[Fid(slot.key)]
            locked = files.get(slot.node)
            if locked is None:
                file = session.tree.adopt_for_locks(state.node, slot.node)
                locked = files[slot.node] = session.locks.opened(file, state.node.qid.path)
            state.locked = locked
            owner = LockOwner(slot.name[: slot.length], slot.user)
            span = Span(slot.dev, slot.ino, bool(slot.flags), state)
            self._slots.setdefault((locked, owner), {})[span] = index
        for (locked, owner), spans in self._slots.items():
            locked.restored(owner, list(spans))

    def _put(self, commit: int, holder: Holder, span: Span) -> int:
        locked, (client, process) = holder
        through: FidState = span.through  # type: ignore[assignment]  # the table does not look at it
        return self._write(
            Slot(
                *(commit, 0, span.start, span.end, LOCK, len(client), through.number),
                *(locked.fileno(), 0, int(span.write), process, 0, client),
            )
        )
