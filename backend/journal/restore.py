"""A session as the worker before this one has left it, made from its journal.

Called behind the walls: what the journal says was written by a process that faced a guest, and is
believed no further than that process could have gone itself.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from backend.fileserver.dotu.listing import StatDirectory
from backend.fileserver.fids import FidState
from backend.fileserver.files import NO_CHANGE, OpenNote, Unopened
from backend.fileserver.opening import iounit
from backend.fileserver.policies.layers import innermost
from backend.fileserver.syncing import entry_synced
from backend.journal.journal import DIALECTS
from backend.journal.layout import (
    ENDED,
    FID,
    LISTED,
    LOCK,
    PENDING,
    PLACE,
    POSITION,
    REMOVED,
    REPLY,
    REQUEST,
    WITH_FILE,
    WITH_NODE,
    XATTR,
    Slot,
)
from backend.journal.pending_files import adopt_pending, old_of
from protocol.ninep.ids import Fid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.fileserver.deferred import Steps
    from backend.fileserver.files import Closing, Node
    from backend.fileserver.places import Place
    from backend.fileserver.session import Session
    from backend.fileserver.tree import Tree
    from backend.journal.debts import Debt, Owed
    from backend.journal.layout import Begun
    from backend.journal.writer import Writer


_OWED: Final = (REQUEST, REPLY, ENDED)
_NOBODY: Final = NO_CHANGE & 0xFFFF_FFFF


class RestoreError(Exception):
    """A journal that nobody can go on from; the text says what is wrong."""


class Unfinished(NamedTuple):
    """What the worker before us was about."""

    begun: list[Begun]
    """Of each lane, what may have been carried out uncommitted."""
    owed: list[Owed]
    """What it had taken and not answered, oldest first."""
    closings: dict[Debt, LeftOpen]
    """The files of those that are files' ends."""
    descriptors: frozenset[int]
    """What all of this is open as."""


class LeftOpen(NamedTuple):
    """What was left of the end of a file."""

    file: Closing
    path: int


class EntryLeft(Unopened):
    """A file that is closed: at most its directory is left, to be synced."""

    closed: Final = True

    def __init__(self, tree: Tree, entry: Node | None) -> None:
        """Take over the hold on ``entry``."""
        super().__init__()
        self._tree: Final = tree
        self.entry: Final = entry

    def closing(self) -> Steps | None:
        return None if self.entry is None else self._synced(self.entry)

    def _synced(self, entry: Node) -> Steps:
        try:
            yield from entry_synced(self._tree, entry)
        finally:
            entry.release()


def restore(writer: Writer, session: Session) -> Unfinished:
    """Fill ``session`` and ``writer``.  Raises ``RestoreError``."""
    journal = writer.journal
    number = journal.committed
    if not number:
        return Unfinished([], [], {}, frozenset())
    commit = journal.last_commit()
    if commit.number != number or commit.dialect >= len(DIALECTS):
        raise RestoreError("the last commit is damaged")
    dialect = DIALECTS[commit.dialect]
    session.dialect = dialect
    session.msize = min(commit.msize, session.max_msize)
    slots = writer.slots.take_over(number)
    try:
        nodes = Nodes(session.tree)
        _restore_fids(writer, session, slots, nodes)
        writer.locks.restore((slot for slot in slots if slot[1].kind == LOCK), session)
        held = [entry for entry in slots if entry[1].kind in _OWED]
        owed = writer.debts.restored(held, journal.lanes, session.fids)
        closings = {
            each.debt: _restore_closing(session, nodes, each.slot)
            for each in owed
            if each.slot.kind == ENDED
        }
        nodes.release()
    except (OSError, LookupError, ValueError) as error:
        raise RestoreError(f"a fid cannot be had again: {error}") from error
    writer.indices[:] = [
        index
        for pair in commit.indices[: journal.lanes]
        for index in (pair.consumed, pair.produced)
    ]
    begun = [journal.begun(lane) for lane in range(journal.lanes)]
    return Unfinished(begun, owed, closings, frozenset(_descriptors(slots)))


def _descriptors(slots: list[tuple[int, Slot]]) -> Iterator[int]:
    """What the slots say is open."""
    for _, slot in slots:
        if slot.kind in WITH_NODE:
            yield slot.node
        if slot.kind in WITH_FILE:
            yield slot.file
            yield slot.parent
        if slot.kind == PENDING:
            yield old_of(slot)


def _restore_fids(
    writer: Writer, session: Session, slots: list[tuple[int, Slot]], nodes: Nodes
) -> None:
    places = _places(writer, session, slots, nodes)
    for index, slot in slots:
        if slot.kind == PENDING:
            adopt_pending(writer, nodes, index, slot)
    given: set[int] = set()
    for index, slot in slots:
        if slot.kind in (FID, XATTR):
            where = None
            if slot.place:
                where = places[slot.place]
                if slot.place in given:
                    where.hold()
                given.add(slot.place)
            writer.fids.slots[Fid(slot.key)] = index
            _restore_fid(writer, session, nodes, slot, where)


def _places(
    writer: Writer, session: Session, slots: list[tuple[int, Slot]], nodes: Nodes
) -> dict[int, Place]:
    """By their numbers."""
    places: dict[int, Place] = {}
    for index, slot in slots:
        if slot.kind == PLACE:
            parent = None if slot.node < 0 else nodes.at(slot.node, slot.ino)
            place = session.places.restored(parent, slot.name[: slot.length])
            places[slot.place] = place
            writer.fids.take_over_place(place, index, slot.place)
    return places


def _restore_fid(
    writer: Writer, session: Session, nodes: Nodes, slot: Slot, where: Place | None
) -> None:
    fid = Fid(slot.key)
    uid = NO_CHANGE if slot.user == _NOBODY else slot.user
    state = FidState(nodes.at(slot.node, slot.ino, slot.note).hold(), where, uid)
    state.remove_on_close = slot.kind == FID and bool(slot.flags & REMOVED)
    session.fids.add(fid, state)
    if writer.atomic is not None and where is not None and where.parent is not None:
        writer.atomic.stands_at(state.node, where.parent, where.name)
    if slot.kind == XATTR:
        _restore_value(writer, session, fid, slot)
    elif slot.file >= 0:
        _reopen(writer, session, nodes, slot)


def _reopen(writer: Writer, session: Session, nodes: Nodes, slot: Slot) -> None:
    fid = Fid(slot.key)
    state, tree = session.fids[fid], session.tree
    file = tree.adopt_open(state.node, slot.file, nodes.note(slot))
    limits = session.limits
    slots = limits.cursors if state.node.kind == stat.S_IFDIR else limits.open_files
    slots.take()
    if slot.flags & LISTED:
        listing = StatDirectory(file, tree, state.node, iounit(session))
        listing.resume(*POSITION.unpack(slot.name[: POSITION.size]))
        file = listing
    state.set_open(file, slots)
    writer.fids.attend_file(fid, file)


def _restore_closing(session: Session, nodes: Nodes, slot: Slot) -> LeftOpen:
    tree = session.tree
    if slot.file < 0:
        entry = None if slot.node < 0 else nodes.at(slot.node, slot.ino).hold()
        return LeftOpen(EntryLeft(tree, entry), slot.ino)
    node = nodes.at(innermost(tree).path_of(slot.file), slot.ino)
    file = tree.adopt_open(node, slot.file, nodes.note(slot))
    if not hasattr(file, "entry"):
        raise ValueError("a file that is closed at once")
    return LeftOpen(cast("Closing", file), slot.ino)


def _restore_value(writer: Writer, session: Session, fid: Fid, slot: Slot) -> None:
    state, slots = session.fids[fid], session.limits.xattr_bytes
    value = writer.fids.values.restored(fid, slot, session.tree, state.node)
    slots.take(value.size)
    state.set_open(value, slots, value.size)
    writer.fids.attend_value(fid, value)


class Nodes:
    """The nodes of descriptors, each held once until ``release``."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._nodes: dict[int, Node] = {tree.root.fd: tree.root.hold()}

    def note(self, slot: Slot) -> OpenNote:
        """What a slot says of an open file.  Raises ``OSError`` as ``at``."""
        parent = None if slot.parent < 0 else self.at(slot.parent)
        data = b"" if slot.flags & LISTED else slot.name[: slot.length]
        return OpenNote(slot.opened, parent, slot.serial, data)

    def at(self, fd: int, path: int | None = None, note: int = 0) -> Node:
        """Raises ``OSError`` where the descriptor is not of the file that it was of."""
        node = self._nodes.get(fd)
        if node is None:
            node = self._nodes[fd] = self._tree.adopt(fd, note)
        if path is None:
            return node
        if node.qid.path != path:
            raise OSError(f"descriptor {fd} is another file's")
        return node

    def release(self) -> None:
        for node in self._nodes.values():
            node.release()
