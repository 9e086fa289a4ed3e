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

import fcntl
import os
from enum import Flag, auto
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from backend.channel.file import ChannelFile
from backend.channel.sending import RECORD, SendRecord
from backend.channel.tree import PREFIX, ChannelTree
from backend.fileserver.dotu.listing import StatDirectory
from backend.fileserver.files import UNOPENED
from backend.fileserver.policies.atomic_commit import AtomicCommitTree
from backend.fileserver.policies.atomic_files import UNTOUCHED
from backend.fileserver.policies.layers import innermost, layer
from backend.fileserver.xattrs import ValueReader, ValueWriter
from backend.journal import layout
from backend.journal.debts import ClosingFile, Debts
from backend.journal.held_locks import HeldLocks
from backend.journal.journal import DIALECTS, Uncovered
from backend.journal.layout import (
    ENDED,
    FID,
    LISTED,
    PLACE,
    POSITION,
    REMOVED,
    SLOT_PACKING,
    SLOT_SIZE,
    SLOTS_AT,
    Begun,
    Slot,
)
from backend.journal.pending_files import pending_slot
from backend.journal.streams import Streams
from backend.journal.touched import TOUCHED
from backend.journal.values import Values, value_slot
from protocol.ninep.messages import Tversion
from protocol.xenpv.ring import INDEX_MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.fileserver.fids import FidState
    from backend.fileserver.files import Closing, File, OpenNote
    from backend.fileserver.grouped_lane import GroupedLane
    from backend.fileserver.lane import Lane
    from backend.fileserver.places import Place
    from backend.fileserver.policies.pending import Pending
    from backend.fileserver.session import Session
    from backend.journal.held_locks import Holder
    from backend.journal.journal import Journal
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Message

_PREFIX_BITS: Final = 48
"""Above these, a qid path says which file system it is of (``fileserver.qids``)."""

_NO_FILE: Final = -1
_NUMBERS: Final = {dialect: number for number, dialect in enumerate(DIALECTS)}


class Attended(Flag):
    """What is to be looked at before a Twrite through a fid."""

    APPENDS = auto()
    """It goes to the file's end, wherever that is."""
    VALUE = auto()
    """It is of an attribute's value, which is written down."""
    SENDS = auto()
    """It is sent to a channel's client."""
    UNTOUCHED = auto()
    """It is the first, and that it has been is written down."""


class KnownPlace(NamedTuple):
    """Where a place is written down, and the number by which its fids name it."""

    slot: int
    key: int


class Writer:
    """What the worker of the moment writes down."""

    def __init__(self, journal: Journal, session: Session, lanes: Sequence[Lane]) -> None:
        """``lanes`` are those that the session is served on."""
        self.journal: Final = journal
        self.attended: Final[dict[Fid, Attended]] = {}
        """Fids through which more is done by a Twrite than a write at an offset."""
        self.fids: Final[dict[Fid, int]] = {}
        self.places: Final[dict[Place, KnownPlace]] = {}
        self.last_place = 0
        self.free: Final[list[int]] = []
        self.used = 0
        self.number = journal.committed
        self.values: Final = Values(journal.memory, layout.values_at(journal.slots))
        self.debts: Final = Debts(self._write, self._retire, self.values)
        self._owed = self.debts.owed
        self.locks: Final = HeldLocks(self._write, self._retire)
        self._locks_changed: set[Holder] = set()
        session.locks.changed = self._locks_changed
        self._rooms = self.values.rooms
        self.session: Final = session
        self._odd: Final[set[Fid]] = set()
        self._touched: list[Fid] = []
        self._retired: list[int] = []
        self._unclosed: list[int] = []
        self._later: list[Callable[[], None]] = []
        self._prefixes = {*range(innermost(session.tree).prefixes), PREFIX}
        self.begun: Lane | None = None
        """The lane whose request is being served of which the journal says how it began."""
        self._memory = journal.memory
        self.words = journal.words
        self._pack = layout.commit_packing(len(lanes)).pack_into
        self.indices: Final[list[int]] = []
        """Of each lane in turn: where its requests and its replies have come to."""
        self._at = {lane: 2 * number for number, lane in enumerate(lanes)}
        session.places.changed = set()
        atomic = layer(session.tree, AtomicCommitTree)
        self.pending: Final[dict[Pending, int]] = {}
        self.atomic: Final = atomic
        self._pending_changed: set[Pending] = set()
        if atomic is not None:
            atomic.pending.changed = self._pending_changed
        self.streams: Final = Streams(self, layer(session.tree, ChannelTree))
        self._streams_changed = self.streams.changed

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
            self._touched += self.fids

    def touch_fid(self, fid: Fid) -> None:
        """What a fid stands for is about to become another state of it."""
        self._touched.append(fid)

    def close_later(self, fd: int) -> None:
        """Close a descriptor as soon as no commit needs it."""
        self._unclosed.append(fd)

    def do_later(self, call: Callable[[], None]) -> None:
        """Do what ends a descriptor as soon as no commit needs it."""
        self._later.append(call)

    def closing(self, file: Closing, path: int) -> ClosingFile:
        """How a file of this qid path is written down while it is closed in steps."""
        return ClosingFile(partial(_left, file, path))

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
        if self._odd or self.debts.lost:
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
        if self._retired:
            self.free.extend(self._retired)
            self._retired.clear()
            self.values.committed()
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

    def note_append(self, fid: Fid, file: File) -> None:
        """Find out whether a fid's file is written at its end, wherever that is."""
        if isinstance(file, ChannelFile):
            if file.writable:
                self._attend(fid, Attended.SENDS)
        elif file.writable and fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND:
            self._attend(fid, Attended.APPENDS)

    def _uncovered(self) -> Uncovered:
        if self._odd:
            return Uncovered.ODD
        if self.debts.lost:
            return Uncovered.WAITING
        return Uncovered.NOT

    def _attend(self, fid: Fid, why: Attended) -> None:
        self.attended[fid] = self.attended.get(fid, Attended(0)) | why

    def _note(self, number: int) -> None:
        """Write down the fids and places that the request has touched."""
        table = self.session.fids
        if self._pending_changed:
            self._note_pending(number)
        for fid in dict.fromkeys(self._touched):
            self._retire(self.fids.pop(fid, None), number)
            self._odd.discard(fid)
            if fid in self._rooms:
                self.values.retire(fid, unless=table[fid].file if fid in table else None)
            if self._owed:
                self.debts.fid_changed(number, fid, table)
            self.attended.pop(fid, None)
            if fid in table:
                self._note_fid(fid, table[fid], number)
        self._touched.clear()
        if self._streams_changed:
            self.streams.note(number)
        changed = self.session.places.changed
        if changed:
            self._note_places(changed, number)
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
            self._retire(self.pending.pop(pending, None), number)
            if not pending.over:
                note = self.session.tree.note(pending.node)
                self.pending[pending] = self._write(pending_slot(pending, note, number))
        self._pending_changed.clear()

    def _note_places(self, changed: set[Place], number: int) -> None:
        for place in changed:
            known = self.places.pop(place, None)
            if known is not None:
                self._retire(known.slot, number)
                if place.held:
                    self._note_place(place, known.key, number)

    def _note_fid(self, fid: Fid, state: FidState, number: int) -> None:
        file, node, place = state.file, state.node, state.place
        kind = type(file)
        if node.qid.path >> _PREFIX_BITS not in self._prefixes:
            self._odd.add(fid)
        where = 0
        if place is not None:
            known = self.places.get(place)
            where = self._note_place(place, 0, number) if known is None else known.key
        flags, user = REMOVED if state.remove_on_close else 0, state.uid & 0xFFFF_FFFF
        path, note = node.qid.path, self.session.tree.note(node)
        slot = Slot(
            number, 0, 0, path, FID, 0, fid, node.fd, _NO_FILE, flags, user, where, b"", note
        )
        if kind is StatDirectory:
            position = POSITION.pack(*cast("StatDirectory", file).position)
            slot = slot._replace(
                file=file.fileno(), flags=flags | LISTED, length=len(position), name=position
            )
        elif kind is ValueReader or kind is ValueWriter:
            slot = self._with_value(slot, fid, cast("ValueReader | ValueWriter", file))
        elif file is not UNOPENED:
            slot = self._with_file(slot, fid, file)
        self.fids[fid] = self._write(slot)
        if kind is ChannelFile:
            self.streams.noted(cast("ChannelFile", file), fid, self.fids[fid])

    def _with_file(self, slot: Slot, fid: Fid, file: File) -> Slot:
        self.note_append(fid, file)
        slot, note = slot._replace(file=file.fileno()), file.note()
        if note is None:
            self._odd.add(fid)
            return slot
        if note.data:
            return _with_note(slot, note)._replace(name=note.data, length=len(note.data))
        if note.flags & UNTOUCHED:
            self._attend(fid, Attended.UNTOUCHED)
        return _with_note(slot, note)

    def note_again(self, fid: Fid, number: int) -> None:
        """Write down what a fid is now: the same file, which has gone on."""
        self._retire(self.fids.pop(fid, None), number)
        self._note_fid(fid, self.session.fids[fid], number)

    def sent(self, lane: Lane) -> SendRecord:
        """Where the Twrite is written down that this lane is about."""
        at = layout.SENT_AT + self.lane_number(lane) * RECORD
        return SendRecord(memoryview(self._memory)[at : at + RECORD])

    def _with_value(self, slot: Slot, fid: Fid, value: ValueReader | ValueWriter) -> Slot:
        self.note_value(fid, value)
        block = self.values.keep(fid, value)
        if block is None:
            self._odd.add(fid)
            return slot
        return value_slot(slot, value, block)

    def note_value(self, fid: Fid, value: ValueReader | ValueWriter) -> None:
        """Find out whether a fid's value is being written."""
        if type(value) is ValueWriter:
            self._attend(fid, Attended.VALUE)

    def _note_place(self, place: Place, key: int, number: int) -> int:
        """Write down a place, under a number of its own if it has none (0) yet."""
        if not key:
            self.last_place += 1
            key = self.last_place
        parent = place.parent
        fd, path = (_NO_FILE, 0) if parent is None else (parent.fd, parent.qid.path)
        name = place.name
        slot = self._write(
            Slot(number, 0, 0, path, PLACE, len(name), 0, fd, _NO_FILE, 0, 0, key, name)
        )
        self.places[place] = KnownPlace(slot, key)
        return key

    def _write(self, slot: Slot) -> int:
        """Put it where nothing is that holds; where that is."""
        if self.free:
            index = self.free.pop()
        else:
            index, self.used = self.used, self.used + 1
            if index >= self.journal.slots:
                raise RuntimeError("a journal without a free slot")
            self.journal.halves[layout.USED_HALF] = self.used
        at = SLOTS_AT + index * SLOT_SIZE
        # First of all: with this number it is nobody's before the commit, whatever lies there.
        self.words[at // 8] = slot.born
        SLOT_PACKING.pack_into(self._memory, at, *slot)
        return index

    def _retire(self, slot: int | None, number: int) -> None:
        if slot is not None:
            self.words[(SLOTS_AT + slot * SLOT_SIZE + layout.DIED_AT) // 8] = number
            self._retired.append(slot)


def _left(file: Closing, path: int) -> Slot | None:
    """What is left of a file that is being closed; ``None`` where nobody else could go on."""
    if file.closed:
        entry = file.entry
        fd, entry_path = (_NO_FILE, 0) if entry is None else (entry.fd, entry.qid.path)
        return Slot(0, 0, 0, entry_path, ENDED, 0, 0, fd, _NO_FILE, 0, 0, 0, b"")
    note = file.note()
    if note is None:
        return None
    slot = Slot(0, 0, 0, path, ENDED, 0, 0, _NO_FILE, file.fileno(), 0, 0, 0, b"")
    return _with_note(slot, note)


def _with_note(slot: Slot, note: OpenNote) -> Slot:
    parent = _NO_FILE if note.parent is None else note.parent.fd
    return slot._replace(parent=parent, opened=note.flags, serial=note.serial)
