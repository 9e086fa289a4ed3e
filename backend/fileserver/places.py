"""Where fids stand: entries of directories, which follow what this client does to their names.

A fid is a file, whatever becomes of its names.  Three requests nevertheless act on a name through
a fid: Tremove, Trename and 9P2000.u's Twstat.  All fids that found their file under one name share
one ``Place``, so that a rename moves them all in one step, however many they are.

A place is no path and no proof: somebody else may have given the name to another file.  Whoever
acts on it compares first (``changes.entry_of``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from backend.fileserver.files import Node

Key = tuple[int, bytes]
"""A directory's qid path and a name in it: the directory itself may be renamed at will."""


class Place:
    """One name in one directory, as long as a fid stands there."""

    __slots__ = ("_holders", "_table", "name", "parent")

    def __init__(self, table: PlaceTable, parent: Node | None, name: bytes) -> None:
        """Made by ``PlaceTable.at``; takes over the caller's hold on ``parent``."""
        self._table: Final = table
        self._holders = 1
        self.parent = parent
        """The directory; ``None`` when this client has removed or replaced the entry."""
        self.name = name

    @property
    def held(self) -> bool:
        """Whether a fid stands there still."""
        return self._holders > 0

    def hold(self) -> Place:
        """One holder more."""
        self._holders += 1
        return self

    def release(self) -> None:
        """One holder less; the place goes with the last."""
        self._holders -= 1
        if not self._holders:
            self._table.forget(self)


class PlaceTable:
    """The places of one session: at most one for each fid."""

    __slots__ = ("_places", "changed")

    def __init__(self) -> None:
        self._places: dict[Key, Place] = {}
        self.changed: set[Place] | None = None
        """Those that became others, or came to their end, where somebody keeps account of it."""

    def __len__(self) -> int:
        """Entries that fids stand at."""
        return len(self._places)

    def at(self, parent: Node, name: bytes) -> Place:
        """The place ``name`` in ``parent``, held for the caller."""
        key = (parent.qid.path, name)
        place = self._places.get(key)
        if place is not None:
            return place.hold()
        place = self._places[key] = Place(self, parent.hold(), name)
        return place

    def known(self, parent: Node, name: bytes) -> bool:
        """Whether any fid stands there."""
        return (parent.qid.path, name) in self._places

    def removed(self, parent: Node, name: bytes) -> None:
        """The entry is gone: who stands there has a file, but no name for it any more.

        A file that is made under the name later is another one's place.
        """
        place = self._places.get((parent.qid.path, name))
        if place is not None:
            self.forget(place)

    def moved(self, old_parent: Node, old_name: bytes, parent: Node, name: bytes) -> None:
        """The entry has another name, in place of what was there."""
        place = self._places.get((old_parent.qid.path, old_name))
        if place is not None:
            parent.hold()
            self.forget(place)
        self.removed(parent, name)
        if place is not None:
            place.parent, place.name = parent, name
            self._places[parent.qid.path, name] = place

    def restored(self, parent: Node | None, name: bytes) -> Place:
        """A place that the worker before us had; the caller is its first holder."""
        if parent is None:
            place = Place(self, None, name)
        else:
            place = self._places[parent.qid.path, name] = Place(self, parent.hold(), name)
        return place

    def forget(self, place: Place) -> None:
        """Take a place out of the table, if it is still there, and let its directory go."""
        if self.changed is not None:
            self.changed.add(place)
        parent, place.parent = place.parent, None
        if parent is not None:
            del self._places[parent.qid.path, place.name]
            parent.release()
