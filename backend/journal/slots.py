"""A journal's slots: what is written to one holds from its commit on, until another ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backend.journal import layout
from backend.journal.layout import SLOT_PACKING, SLOT_SIZE, SLOTS_AT, Slot

if TYPE_CHECKING:
    from backend.fileserver.files import Node, OpenNote
    from backend.journal.journal import Journal

NO_FILE: Final = -1
"""In place of a descriptor."""


class Slots:
    """Those of the worker of the moment."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._memory = journal.memory
        self._words = journal.words
        self._free: list[int] = []
        self._used = 0
        self._most = journal.slots
        self.retired: Final[list[int]] = []
        """Those that no commit needs after the next one."""

    def write(self, slot: Slot) -> int:
        """Put it where nothing is that holds; where that is."""
        if self._free:
            index = self._free.pop()
        else:
            index, self._used = self._used, self._used + 1
            if index >= self._most:
                raise RuntimeError("a journal without a free slot")
            self._journal.halves[layout.USED_HALF] = self._used
        at = SLOTS_AT + index * SLOT_SIZE
        # First of all: with this number it is nobody's before the commit, whatever lies there.
        self._words[at // 8] = slot.born
        SLOT_PACKING.pack_into(self._memory, at, *slot)
        return index

    def retire(self, index: int | None, number: int) -> None:
        """What is there, if anything, ends with the commit of this number."""
        if index is not None:
            self._words[(SLOTS_AT + index * SLOT_SIZE + layout.DIED_AT) // 8] = number
            self.retired.append(index)

    def committed(self) -> None:
        """What was retired is free."""
        self._free.extend(self.retired)
        self.retired.clear()

    def take_over(self, number: int) -> list[tuple[int, Slot]]:
        """What holds at this commit, of the worker before us; all others are free again."""
        self._used = min(self._journal.halves[layout.USED_HALF], self._most)
        held = []
        for index in range(self._used):
            at = SLOTS_AT + index * SLOT_SIZE
            slot = Slot(*SLOT_PACKING.unpack_from(self._memory, at))
            if not slot.holds(number):
                # Or what was written for a commit that never came, would hold from the next one
                # on, which has the same number.
                self._words[at // 8] = 0
                self._free.append(index)
                continue
            self._words[(at + layout.DIED_AT) // 8] = 0
            held.append((index, slot))
        return held


def fd_and_path(node: Node | None) -> tuple[int, int]:
    """A descriptor and a qid path, by which the next worker finds a node, if there is one."""
    return (NO_FILE, 0) if node is None else (node.fd, node.qid.path)


def with_note(slot: Slot, note: OpenNote) -> Slot:
    """The same with what an open file says of itself."""
    parent = NO_FILE if note.parent is None else note.parent.fd
    return slot._replace(parent=parent, opened=note.flags, serial=note.serial)
