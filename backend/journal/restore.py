"""A session as the worker before this one has left it, made from its journal.

Called behind the walls: what the journal says was written by a process that faced a guest, and is
believed no further than that process could have gone itself.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver.dotu.listing import StatDirectory
from backend.fileserver.fids import FidState
from backend.fileserver.files import NO_CHANGE, Unopened
from backend.fileserver.local_files import LocalDirectory
from backend.fileserver.opening import iounit
from backend.journal import layout
from backend.journal.journal import DIALECTS
from backend.journal.layout import (
    FID,
    FREE,
    LISTED,
    LOCK,
    PLACE,
    POSITION,
    REMOVED,
    REPLY,
    REQUEST,
    SLOT_PACKING,
    SLOT_SIZE,
    SLOTS_AT,
    XATTR,
    Slot,
)
from backend.journal.writer import KnownPlace, Writer
from protocol.ninep.ids import Fid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backend.fileserver.files import Node
    from backend.fileserver.local_tree import LocalTree
    from backend.fileserver.places import Place
    from backend.fileserver.session import Session
    from backend.journal.layout import Begun

_STRAYS: Final = 256
"""More descriptors than one request has open beside those of the fids."""

_OWED: Final = (REQUEST, REPLY)
_NOBODY: Final = NO_CHANGE & 0xFFFF_FFFF


class RestoreError(Exception):
    """A journal that nobody can go on from; the text says what is wrong."""


class Unfinished(NamedTuple):
    """What the worker before us was about."""

    begun: list[Begun]
    """Of each lane, what may have been carried out uncommitted."""
    owed: list[Slot]
    """What it had taken and not answered, oldest first."""


def restore(writer: Writer, session: Session) -> Unfinished:
    """Fill ``session`` and ``writer``.  Raises ``RestoreError``."""
    journal = writer.journal
    number = journal.committed
    if not number:
        return Unfinished([], [])
    commit = journal.last_commit()
    if commit.number != number or commit.dialect >= len(DIALECTS):
        raise RestoreError("the last commit is damaged")
    dialect = DIALECTS[commit.dialect]
    session.dialect = dialect
    session.msize = min(commit.msize, session.max_msize)
    slots = _slots(writer, number)
    try:
        _restore_fids(writer, session, slots)
        writer.locks.restore((slot for slot in slots if slot[1].kind == LOCK), session)
        held = [entry for entry in slots if entry[1].kind in _OWED]
        owed = writer.debts.restored(held, journal.lanes)
    except (OSError, LookupError, ValueError) as error:
        raise RestoreError(f"a fid cannot be had again: {error}") from error
    writer.indices[:] = [
        index
        for pair in commit.indices[: journal.lanes]
        for index in (pair.consumed, pair.produced)
    ]
    begun = [journal.begun(lane) for lane in range(journal.lanes)]
    return Unfinished(begun, owed)


def close_strays(writer: Writer, session: Session, kept: Iterable[int]) -> None:
    """Close what the worker before us had just opened, or was about to close.

    The kernel gives the lowest number that is free, so none is far above those that are known.
    """
    known = {*kept, *(place.parent.fd for place in writer.places if place.parent is not None)}
    for state in session.fids.values():
        known.add(state.node.fd)
        if not isinstance(state.file, Unopened):
            known.add(state.file.fileno())
    known |= session.locks.descriptors()
    for fd in range(max(known) + _STRAYS):
        if fd not in known:
            with contextlib.suppress(OSError):
                os.close(fd)


def _slots(writer: Writer, number: int) -> list[tuple[int, Slot]]:
    """The slots that hold; all others are free again."""
    journal = writer.journal
    used = writer.used = min(journal.halves[layout.USED_HALF], journal.slots)
    held = []
    for index in range(used):
        at = SLOTS_AT + index * SLOT_SIZE
        slot = Slot(*SLOT_PACKING.unpack_from(journal.memory, at))
        if not 0 < slot.born <= number or 0 < slot.died <= number or slot.kind == FREE:
            # Or what was written for a commit that never came, would hold from the next one on,
            # which has the same number.
            journal.words[at // 8] = 0
            writer.free.append(index)
            continue
        journal.words[(at + layout.DIED_AT) // 8] = 0
        held.append((index, slot))
    return held


def _restore_fids(writer: Writer, session: Session, slots: list[tuple[int, Slot]]) -> None:
    tree: LocalTree = session.tree  # type: ignore[assignment]  # no other is journalled
    nodes = _Nodes(tree)
    places: dict[int, Place] = {}
    for index, slot in slots:
        if slot.kind == PLACE:
            parent = None if slot.node < 0 else nodes.at(slot.node, slot.ino)
            place = session.places.restored(parent, slot.name[: slot.length])
            places[slot.place] = place
            writer.places[place] = KnownPlace(index, slot.place)
            writer.last_place = max(writer.last_place, slot.place)
    given: set[int] = set()
    for index, slot in slots:
        if slot.kind not in (FID, XATTR):
            continue
        where = None
        if slot.place:
            where = places[slot.place]
            if slot.place in given:
                where.hold()
            given.add(slot.place)
        uid = NO_CHANGE if slot.user == _NOBODY else slot.user
        state = FidState(nodes.at(slot.node, slot.ino).hold(), where, uid)
        state.remove_on_close = slot.kind == FID and bool(slot.flags & REMOVED)
        session.fids.add(Fid(slot.key), state)
        writer.fids[Fid(slot.key)] = index
        if slot.kind == XATTR:
            _restore_value(writer, session, Fid(slot.key), slot)
        elif slot.file >= 0:
            _reopen(writer, session, tree, slot)
    nodes.release()


def _reopen(writer: Writer, session: Session, tree: LocalTree, slot: Slot) -> None:
    fid = Fid(slot.key)
    state = session.fids[fid]
    file = tree.adopt_open(state.node, slot.file)
    limits = session.limits
    slots = limits.cursors if isinstance(file, LocalDirectory) else limits.open_files
    slots.take()
    if slot.flags & LISTED:
        listing = StatDirectory(file, tree, state.node, iounit(session))
        listing.resume(*POSITION.unpack(slot.name[: POSITION.size]))
        file = listing
    state.set_open(file, slots)
    writer.note_append(fid, file)


def _restore_value(writer: Writer, session: Session, fid: Fid, slot: Slot) -> None:
    state, slots = session.fids[fid], session.limits.xattr_bytes
    value = writer.values.restored(fid, slot, session.tree, state.node)
    slots.take(value.size)
    state.set_open(value, slots, value.size)
    writer.note_value(fid, value)


class _Nodes:
    """The nodes of descriptors, each held once until ``release``."""

    def __init__(self, tree: LocalTree) -> None:
        self._tree = tree
        self._nodes: dict[int, Node] = {tree.root.fd: tree.root.hold()}

    def at(self, fd: int, path: int) -> Node:
        """Raises ``OSError`` where the descriptor is not of the file that it was of."""
        node = self._nodes.get(fd)
        if node is None:
            node = self._nodes[fd] = self._tree.adopt(fd)
        if node.qid.path != path:
            raise OSError(f"descriptor {fd} is another file's")
        return node

    def release(self) -> None:
        for node in self._nodes.values():
            node.release()
