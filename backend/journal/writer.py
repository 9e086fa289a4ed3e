"""A journal as a worker writes it: what it has done becomes true by one store, once per request.

Rules:

1. Whatever a request changes is written beside what holds: slots that are not in use, and the
   commit that is not the last one.  Storing the number of the new commit makes all of it hold.
2. Only then is the reply published, which lies in its ring already, and the request given back.
3. A descriptor is closed after the commit of the request that gave it up, so what a commit says is
   open, is open.
4. A slot is used again only after a commit that no longer needs it.

A worker that is killed anywhere in between leaves a journal that says what holds, and perhaps what
it was about to do.  ``docs/recovery.md`` argues for it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from backend.channel.sending import RECORD, SendRecord
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.layers import layer
from backend.journal import layout
from backend.journal.debts import Debts
from backend.journal.held_locks import HeldLocks
from backend.journal.journal import DIALECTS, Uncovered
from backend.journal.layout import Begun
from backend.journal.noted_fids import NotedFids
from backend.journal.pending_files import pending_slot
from backend.journal.slots import Slots
from backend.journal.touched import TOUCHED
from protocol.ninep.messages import Tversion
from protocol.xenpv.ring import INDEX_MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.fileserver.grouped_lane import GroupedLane
    from backend.fileserver.lane import Lane
    from backend.fileserver.policies.pending import Pending
    from backend.fileserver.session import Session
    from backend.journal.held_locks import Holder
    from backend.journal.journal import Journal
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Message

_NUMBERS: Final = {dialect: number for number, dialect in enumerate(DIALECTS)}


class Writer:
    """What the worker of the moment writes down."""

    def __init__(self, journal: Journal, session: Session, lanes: Sequence[Lane]) -> None:
        """``lanes`` are those that the session is served on."""
        self.journal: Final = journal
        self.session: Final = session
        self.number = journal.committed
        slots = Slots(journal)
        self.slots: Final = slots
        self.fids: Final = NotedFids(journal, slots, session)
        self.streams: Final = self.fids.streams
        self._values = self.fids.values
        self.debts: Final = Debts(slots.write, slots.retire, self._values)
        self._owed = self.debts.owed
        self.locks: Final = HeldLocks(slots.write, slots.retire)
        self.begun: Lane | None = None
        """The lane whose request is being served of which the journal says how it began."""
        self.indices: Final[list[int]] = []
        """Of each lane in turn: where its requests and its replies have come to."""
        self._at = {lane: 2 * number for number, lane in enumerate(lanes)}
        self.words = journal.words
        self._memory = journal.memory
        self._pack = layout.commit_packing(len(lanes)).pack_into
        self._unclosed: list[int] = []
        self._later: list[Callable[[], None]] = []
        self._touched: list[Fid] = []
        self._locks_changed: set[Holder] = set()
        session.locks.changed = self._locks_changed
        session.places.changed = set()
        self._streams_changed = self.streams.changed
        self.atomic: Final = layer(session.tree, AtomicCommitTree)
        self.pending: Final[dict[Pending, int]] = {}
        """Where each is written down."""
        self._pending_changed: set[Pending] = set()
        if self.atomic is not None:
            self.atomic.pending.changed = self._pending_changed

    def consumed(self, lane: Lane) -> int:
        """Where its requests have come to."""
        return self.indices[self._at[lane]]

    def lane_number(self, lane: Lane) -> int:
        """Its place among the lanes."""
        return self._at[lane] // 2

    def touch(self, request: Message) -> None:
        """``request`` is about to be carried out: the fids that it may change are looked at."""
        fid_of = TOUCHED.get(type(request))
        if fid_of is not None:
            self._touched.append(fid_of(request))
        elif type(request) is Tversion:
            self._touched += self.fids.slots

    def touch_fid(self, fid: Fid) -> None:
        """What a fid stands for is about to become another state of it."""
        self._touched.append(fid)

    def close_later(self, fd: int) -> None:
        """Close a descriptor as soon as no commit needs it."""
        self._unclosed.append(fd)

    def do_later(self, call: Callable[[], None]) -> None:
        """Do what ends a descriptor as soon as no commit needs it."""
        self._later.append(call)

    def commit(self, lane: GroupedLane, consumed: int, produced: int) -> None:
        """Make true what was done: ``consumed`` bytes of a request, ``produced`` of a reply."""
        self.number = number = self.number + 1
        session = self.session
        if (
            self._touched
            or session.places.changed
            or self._locks_changed
            or self._pending_changed
            or self._streams_changed
        ):
            self._note(number)
        if self._owed and lane.late:
            self.debts.paid(number, self.lane_number(lane), lane.late)
        if self.debts.closings:
            self.debts.note_closings(number)
        at = self._at[lane]
        indices = self.indices
        indices[at] = indices[at] + consumed & INDEX_MASK
        indices[at + 1] = indices[at + 1] + produced & INDEX_MASK
        dialect = session.dialect
        uncovered = 0
        if self.fids.odd or self.debts.lost:
            uncovered = self._uncovered().value
        self._pack(
            self._memory,
            layout.COMMIT_AT[number & 1],
            number,
            uncovered,
            _NUMBERS[dialect],
            session.msize,
            *indices,
        )
        self.words[layout.COMMITTED_WORD] = number
        if self.streams.answered:
            self.streams.take()
        if consumed and lane is self.begun:
            # By now it is another request's place; and were it left, it would come round again.
            self.end_begun(lane)
            self.begun = None
        if self.slots.retired:
            self.slots.committed()
            self._values.committed()
        while self._unclosed:
            os.close(self._unclosed.pop())
        while self._later:
            self._later.pop()()

    def begin(self, lane: Lane, kind: int, before: tuple[int, int, int, int, int]) -> None:
        """A request is about to change what cannot be changed twice; ``before``: how it is now."""
        self.end_begun(lane)
        at = layout.BEGUN_AT + self.lane_number(lane) * layout.BEGUN_SIZE
        begun = Begun(0, self.consumed(lane), kind, *before)
        layout.BEGUN_PACKING.pack_into(self._memory, at, *begun)
        # Never half of one: this is stored last.
        self.words[at // 8] = 1
        self.begun = lane

    def end_begun(self, lane: Lane) -> None:
        """What was begun of this lane is not looked at any more."""
        at = layout.BEGUN_AT + self.lane_number(lane) * layout.BEGUN_SIZE
        self.words[at // 8] = 0

    def sent(self, lane: Lane) -> SendRecord:
        """Where the Twrite is written down that this lane is about."""
        at = layout.SENT_AT + self.lane_number(lane) * RECORD
        return SendRecord(memoryview(self._memory)[at : at + RECORD])

    def _uncovered(self) -> Uncovered:
        if self.fids.odd:
            return Uncovered.ODD
        if self.debts.lost:
            return Uncovered.WAITING
        return Uncovered.NOT

    def _note(self, number: int) -> None:
        """Write down the fids and places that the request has touched."""
        table = self.session.fids
        if self._pending_changed:
            self._note_pending(number)
        for fid in dict.fromkeys(self._touched):
            self.fids.forget(fid, number)
            if self._owed:
                self.debts.fid_changed(number, fid, table)
            if fid in table:
                self.fids.note(fid, table[fid], number)
        self._touched.clear()
        if self._streams_changed:
            self.streams.note(number)
        changed = self.session.places.changed
        if changed:
            self.fids.note_places(changed, number)
            changed.clear()
        if self._locks_changed:
            self.locks.note(number, self._locks_changed)

    def _note_pending(self, number: int) -> None:
        exchanged = set() if self.atomic is None else self.atomic.pending.exchanged
        if exchanged:
            # They are other files, for all fids that stand for them.
            self._touched += [
                fid for fid, state in self.session.fids.items() if state.node in exchanged
            ]
            exchanged.clear()
        for pending in self._pending_changed:
            self.slots.retire(self.pending.pop(pending, None), number)
            if not pending.over:
                note = self.session.tree.note(pending.node)
                self.pending[pending] = self.slots.write(pending_slot(pending, note, number))
        self._pending_changed.clear()
