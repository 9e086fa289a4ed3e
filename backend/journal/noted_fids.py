"""Fids and places, written down as each request leaves them."""

from __future__ import annotations

import fcntl
import os
from enum import Flag, auto
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from backend.channel.file import ChannelFile
from backend.channel.tree import PREFIX, ChannelTree
from backend.fileserver.dotu.listing import StatDirectory
from backend.fileserver.files import UNOPENED
from backend.fileserver.policies.atomic_files import UNTOUCHED
from backend.fileserver.policies.layers import innermost, layer
from backend.fileserver.xattrs import ValueReader, ValueWriter
from backend.journal import layout
from backend.journal.layout import FID, LISTED, PLACE, POSITION, REMOVED, Slot
from backend.journal.slots import NO_FILE, Slots, fd_and_path, with_note
from backend.journal.streams import Streams
from backend.journal.values import Values, value_slot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.fileserver.fids import FidState
    from backend.fileserver.files import File
    from backend.fileserver.places import Place
    from backend.fileserver.session import Session
    from backend.journal.journal import Journal
    from protocol.ninep.ids import Fid

_PREFIX_BITS: Final = 48
"""Above these, a qid path says which file system it is of (``fileserver.qids``)."""


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


class NotedFids:
    """Those of one session, and what they stand for."""

    def __init__(self, journal: Journal, slots: Slots, session: Session) -> None:
        self.session: Final = session
        self.attended: Final[dict[Fid, Attended]] = {}
        """Fids through which more is done by a Twrite than a write at an offset."""
        self.slots: Final[dict[Fid, int]] = {}
        """Where each is written down."""
        self.odd: Final[set[Fid]] = set()
        """Those that no other worker could go on with."""
        self.values: Final = Values(journal.memory, layout.values_at(journal.slots))
        self.streams: Final = Streams(journal, self, layer(session.tree, ChannelTree))
        self._rooms = self.values.rooms
        self._write, self._retire = slots.write, slots.retire
        self._prefixes = {*range(innermost(session.tree).prefixes), PREFIX}
        self._places: dict[Place, KnownPlace] = {}
        self._last_place = 0

    def forget(self, fid: Fid, number: int) -> None:
        """It is another, or none, from this commit on."""
        self._retire(self.slots.pop(fid, None), number)
        self.odd.discard(fid)
        if fid in self._rooms:
            state = self.session.fids.get(fid)
            self.values.retire(fid, unless=None if state is None else state.file)
        self.attended.pop(fid, None)

    def again(self, fid: Fid, number: int) -> None:
        """Write down what a fid is now: the same file, which has gone on."""
        self._retire(self.slots.pop(fid, None), number)
        self.note(fid, self.session.fids[fid], number)

    def note(self, fid: Fid, state: FidState, number: int) -> None:
        """Write down what a fid stands for."""
        file, node, place = state.file, state.node, state.place
        kind = type(file)
        if node.qid.path >> _PREFIX_BITS not in self._prefixes:
            self.odd.add(fid)
        where = 0
        if place is not None:
            known = self._places.get(place)
            where = self._note_place(place, 0, number) if known is None else known.key
        flags, user = REMOVED if state.remove_on_close else 0, state.uid & 0xFFFF_FFFF
        path, note = node.qid.path, self.session.tree.note(node)
        slot = Slot(
            number, 0, 0, path, FID, 0, fid, node.fd, NO_FILE, flags, user, where, b"", note
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
        self.slots[fid] = self._write(slot)
        if kind is ChannelFile:
            self.streams.noted(cast("ChannelFile", file), fid, self.slots[fid])

    def note_places(self, changed: Iterable[Place], number: int) -> None:
        """Write down where these are now, or that they are no more."""
        for place in changed:
            known = self._places.pop(place, None)
            if known is not None:
                self._retire(known.slot, number)
                if place.held:
                    self._note_place(place, known.key, number)

    def attend_file(self, fid: Fid, file: File) -> None:
        """Find out whether a fid's file is written at its end, wherever that is."""
        if isinstance(file, ChannelFile):
            if file.writable:
                self._attend(fid, Attended.SENDS)
        elif file.writable and fcntl.fcntl(file.fileno(), fcntl.F_GETFL) & os.O_APPEND:
            self._attend(fid, Attended.APPENDS)

    def attend_value(self, fid: Fid, value: ValueReader | ValueWriter) -> None:
        """Find out whether a fid's value is being written."""
        if type(value) is ValueWriter:
            self._attend(fid, Attended.VALUE)

    def take_over_place(self, place: Place, index: int, key: int) -> None:
        """One that the worker before us has written down."""
        self._places[place] = KnownPlace(index, key)
        self._last_place = max(self._last_place, key)

    def _attend(self, fid: Fid, why: Attended) -> None:
        self.attended[fid] = self.attended.get(fid, Attended(0)) | why

    def _with_file(self, slot: Slot, fid: Fid, file: File) -> Slot:
        self.attend_file(fid, file)
        slot, note = slot._replace(file=file.fileno()), file.note()
        if note is None:
            self.odd.add(fid)
            return slot
        if note.data:
            return with_note(slot, note)._replace(name=note.data, length=len(note.data))
        if note.flags & UNTOUCHED:
            self._attend(fid, Attended.UNTOUCHED)
        return with_note(slot, note)

    def _with_value(self, slot: Slot, fid: Fid, value: ValueReader | ValueWriter) -> Slot:
        self.attend_value(fid, value)
        block = self.values.keep(fid, value)
        if block is None:
            self.odd.add(fid)
            return slot
        return value_slot(slot, value, block)

    def _note_place(self, place: Place, key: int, number: int) -> int:
        """Write down a place, under a number of its own if it has none (0) yet."""
        if not key:
            self._last_place += 1
            key = self._last_place
        fd, path = fd_and_path(place.parent)
        name = place.name
        index = self._write(
            Slot(number, 0, 0, path, PLACE, len(name), 0, fd, NO_FILE, 0, 0, key, name)
        )
        self._places[place] = KnownPlace(index, key)
        return key
