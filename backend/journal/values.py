"""Values of extended attributes that fids stand for, in blocks of the journal's memory.

A block is given back after the commit that no longer needs it.  A value that finds no room is not
written down, and no worker can go on while there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from backend.fileserver.xattrs import ValueReader, ValueWriter
from backend.journal.layout import BLOCK, BLOCKS, WRITTEN, XATTR, Slot

if TYPE_CHECKING:
    import mmap

    from backend.fileserver.files import Node
    from backend.fileserver.tree import Tree
    from protocol.ninep.ids import Fid

    Value = ValueReader | ValueWriter

_LENGTH_BITS: Final = 32


class Room(NamedTuple):
    """Where a fid's value lies, in blocks."""

    value: Value | None
    start: int
    blocks: int


class Values:
    """The blocks, and whose they are."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        """``at`` is where the blocks begin."""
        self._memory = memory
        self._at = at
        self._taken = bytearray(BLOCKS)
        self._retired: list[Room] = []
        self.rooms: Final[dict[Fid, Room]] = {}

    def keep(self, fid: Fid, value: Value) -> int | None:
        """Write down what ``value`` is now; in which block, or ``None`` where there is no room."""
        room = self.rooms.get(fid)
        if room is None or room.value is not value:
            room = self._room(value.size, value)
            if room is None:
                return None
            self.rooms[fid] = room
        at = self._at + room.start * BLOCK
        so_far = value.so_far
        self._memory[at : at + len(so_far)] = bytes(so_far)
        return room.start

    def retire(self, fid: Fid, unless: object) -> None:
        """The fid is another, or none, from the next commit on, ``unless`` this is its value."""
        if self.rooms[fid].value is not unless:
            self._retired.append(self.rooms.pop(fid))

    def hold(self, size: int) -> Room | None:
        """Blocks for so many bytes; ``None`` where there are none."""
        return self._room(size, None)

    def held(self, start: int, size: int) -> Room:
        """Those that the worker before us held.  Raises ``ValueError`` where there are none."""
        count = _blocks(size)
        if start < 0 or start + count > BLOCKS:
            raise ValueError("what is owed lies nowhere")
        self._taken[start : start + count] = b"\1" * count
        return Room(None, start, count)

    def memory(self, room: Room) -> memoryview:
        """The bytes of blocks that are held."""
        at = self._at + room.start * BLOCK
        return memoryview(self._memory)[at : at + room.blocks * BLOCK]

    def give(self, room: Room) -> None:
        """Blocks are free from the next commit on."""
        self._retired.append(room)

    def committed(self) -> None:
        """What was retired is free."""
        while self._retired:
            _, start, count = self._retired.pop()
            self._taken[start : start + count] = bytes(count)

    def restored(self, fid: Fid, slot: Slot, tree: Tree, node: Node) -> Value:
        """The value that a slot tells of.  Raises ``ValueError`` where that makes no sense."""
        length, size = slot.dev >> _LENGTH_BITS, slot.dev & (1 << _LENGTH_BITS) - 1
        start, count = slot.file, _blocks(size)
        if length > size or start < 0 or start + count > BLOCKS:
            raise ValueError("an attribute's value lies nowhere")
        at = self._at + start * BLOCK
        so_far = self._memory[at : at + length]
        value: Value
        if slot.flags & WRITTEN:
            name = slot.name[: slot.length]
            value = ValueWriter(tree, node, name, size, slot.flags & ~WRITTEN, so_far=so_far)
        else:
            value = ValueReader(so_far)
        self._taken[start : start + count] = b"\1" * count
        self.rooms[fid] = Room(value, start, count)
        return value

    def _room(self, size: int, value: Value | None) -> Room | None:
        count = _blocks(size)
        start = self._taken.find(bytes(count))
        if start < 0:
            return None
        self._taken[start : start + count] = b"\1" * count
        return Room(value, start, count)


def value_slot(slot: Slot, value: Value, block: int) -> Slot:
    """What to write down of a fid that stands for ``value``, from what any fid's slot has."""
    name, flags = b"", 0
    if isinstance(value, ValueWriter):
        name, flags = value.name, value.flags | WRITTEN
    sizes = len(value.so_far) << _LENGTH_BITS | value.size
    return slot._replace(
        dev=sizes, kind=XATTR, length=len(name), file=block, flags=flags, name=name
    )


def _blocks(size: int) -> int:
    return max(1, -(-size // BLOCK))
