"""Layout of a journal, version 4: a header, two commits, a begun request of each lane, and slots.

``construct`` has the definition; what a worker writes for each request goes through a ``struct``
that a test holds to it.  All numbers are little-endian and naturally aligned, so that the one
store that makes a commit valid is one instruction.
"""

from __future__ import annotations

from struct import Struct as Packing
from struct import calcsize
from typing import Final, NamedTuple

from construct import Array, Bytes, Const, Int8ul, Int32sl, Int32ul, Int64ul, Padding, Struct

from backend.channel.sending import RECORD

VERSION: Final = 4
READABLE: Final = frozenset((VERSION,))
"""Versions that a worker of this code can go on from.  A change that an older or newer worker would
read wrongly takes a new number; the number before it stays here for as long as workers that write
it may be running, with what ``restore`` needs to read it."""
MAGIC: Final = b"XFPJRNL\0"
MAX_LANES: Final = 16
"""More rings than any frontend is allowed (``limits.max_rings``)."""
MAX_NAME: Final = 256

HEADER = Struct(
    "magic" / Const(MAGIC),
    "version" / Int32ul,
    "lanes" / Int32ul,
    "slots" / Int32ul,
    "control" / Int32sl,  # the descriptor of the supervisor's line; -1: none now
    "outlives" / Int32ul,
    "handing" / Int32ul,  # the descriptor by which the keeper is to hand over
    "committed" / Int64ul,
    "serving" / Int32ul,  # the lane whose request is being served, from 1 on; 0: none
    "used" / Int32ul,  # slots that were ever written
)

COMMIT = Struct(
    "number" / Int64ul,
    "uncovered" / Int32ul,
    "dialect" / Int32ul,
    "msize" / Int32ul,
    "pad" / Padding(4),
    "indices" / Array(MAX_LANES, Struct("consumed" / Int32ul, "produced" / Int32ul)),
)

BEGUN = Struct(
    "whole" / Int64ul,  # 1: a request has begun, and all that follows is about it; 0: none has
    "consumed" / Int32ul,  # where the lane's requests had come to: which of them it is
    "kind" / Int32ul,  # the message's type
    "exists" / Int32ul,
    "mode" / Int32ul,
    "dev" / Int64ul,
    "ino" / Int64ul,
    "size" / Int64ul,
)

SLOT = Struct(
    "born" / Int64ul,  # the commit from which it holds
    "died" / Int64ul,  # the commit from which it does not; 0: none yet
    "dev" / Int64ul,
    "ino" / Int64ul,
    "kind" / Int8ul,
    "pad" / Padding(1),
    "length" / Int8ul,
    "pad2" / Padding(1),
    "key" / Int32ul,
    "node" / Int32sl,
    "file" / Int32sl,
    "flags" / Int32ul,
    "user" / Int32ul,
    "place" / Int64ul,
    "name" / Bytes(MAX_NAME),
    "note" / Int32ul,
    "parent" / Int32sl,
    "opened" / Int32ul,
    "serial" / Int32ul,
)

FREE, FID, PLACE, REQUEST, REPLY, XATTR, LOCK, ENDED, PENDING = range(9)
"""Kinds of slots.  A place's ``node`` is its directory's descriptor, ``name`` its name there; a
fid's ``key`` is its number.  ``place`` is a number of the place's own, from 1 on, 0 for none: a
place that is renamed gets another slot, and its fids keep theirs.  Of a request that was taken and
not answered, and of a reply that waits for room, ``name`` is the message, ``node`` the lane,
``file`` the tag, and ``place`` counts them; ``key`` is the fid that a request stands on.  Of a fid
that stands for an extended attribute ``name`` is that one's, ``file`` the block in which its value
lies, and ``dev`` how many bytes of it there are, and, in the lower half, are to be.  Of a lock
``node`` is the descriptor that holds it, ``key`` the fid that it goes with, ``dev`` and ``ino`` its
first and last byte, ``flags`` whether it is exclusive, ``name`` and ``user`` whose it is.

What policies add to a fid's file: ``note`` is ``Tree.note``'s, the others are ``files.OpenNote``'s,
with ``parent`` as a descriptor, -1 for none.  Of a file whose fid was clunked, and which is not
closed yet, there is the same, but ``key`` is the lane and the tag, ``place`` counts it among what
is owed, and where there is no ``file`` any more, ``node`` is a directory that is still to be
synced, or -1.  Of a file that is pending ``node`` and ``file`` are its descriptors, ``parent`` and
``name`` where it is to appear, ``key`` its serial, ``user`` the descriptor of the file that it is
to replace, ``place`` that one's qid path, and ``dev`` where a write is missing.

What is too long for ``name`` lies in blocks: ``ino`` is the first one, from 1 on, and ``dev`` says
how many bytes.  Of a reply it is the message; of a Twrite that waits, the record of its sending
(``channel.sending``) and then the data.  Of a channel's file ``name`` is ``channel.file.KEPT``."""

GONE = 1
"""A flag of a request that was taken: the fid that it stands on is another's, or nobody's."""

DISCARDED = 1
"""A flag of a file that is pending: it is not to appear."""

WITH_NODE: Final = (FID, XATTR, PLACE, LOCK, ENDED, PENDING)
WITH_FILE: Final = (FID, ENDED, PENDING)
"""Kinds of slots in which ``node`` is a descriptor, and in which ``file`` and ``parent`` are."""

REMOVED, LISTED = 1, 2
"""Flags of a fid: its file is removed when it is clunked; it reads a directory as 9P2000.u does,
and ``name`` is the position."""
POSITION: Final = Packing("<QQ")
"""Offset, and the cookie to go on from."""

WRITTEN: Final = 1 << 31
"""Among the flags of a fid that stands for an attribute that is being written."""

BLOCK: Final = 4096
BLOCKS: Final = 1024
"""For values of attributes, behind the slots: as much as fids may hold (``limits``)."""

COMMITS_AT: Final = 128
COMMIT_SIZE: Final[int] = COMMIT.sizeof()
COMMIT_AT: Final = (COMMITS_AT, COMMITS_AT + COMMIT_SIZE)
"""Of an even number, and of an odd one: each commit takes the place of the last but one."""
BEGUN_AT: Final = COMMITS_AT + 2 * COMMIT_SIZE
BEGUN_SIZE: Final[int] = BEGUN.sizeof()
"""One for each lane: a worker may have to serve another lane's before it comes to the one in which
its predecessor died."""
SENT_AT: Final = -(-(BEGUN_AT + MAX_LANES * BEGUN_SIZE) // 64) * 64
"""For each lane the record of the Twrite to a channel that it is about (``channel.sending``)."""
ACCEPTED_AT: Final = SENT_AT + MAX_LANES * RECORD
"""For each channel the commit that comes next, since a client was about to be accepted."""
SLOTS_AT: Final = 4096
SLOT_SIZE: Final[int] = SLOT.sizeof()

COMMITTED_WORD: Final = 32 // 8
CONTROL_HALF: Final = 20 // 4
OUTLIVES_HALF: Final = CONTROL_HALF + 1
HANDING_HALF: Final = OUTLIVES_HALF + 1
SERVING_HALF: Final = 40 // 4
USED_HALF: Final = SERVING_HALF + 1
"""Where what is stored on its own lies, in words of eight bytes and halves of four."""

BEGUN_PACKING: Final = Packing("<QIIIIQQQ")
SLOT_PACKING: Final = Packing(f"<QQQQBxBxIiiIIQ{MAX_NAME}sIiII")
DIED_AT: Final = 8
NODE_AT: Final = calcsize("<QQQQBxBxI")
FILE_AT: Final = NODE_AT + 4
USER_AT: Final = FILE_AT + 8
PARENT_AT: Final = SLOT_PACKING.size - calcsize("<iII")


def commit_packing(lanes: int) -> Packing:
    """``COMMIT`` up to the indices of ``lanes`` lanes."""
    return Packing("<QIII4x" + "II" * lanes)


class Begun(NamedTuple):
    """A request that may have been carried out, and how things were before."""

    whole: int
    consumed: int
    kind: int
    exists: int
    mode: int
    dev: int
    ino: int
    size: int


class Slot(NamedTuple):
    """What a worker wrote down of one fid or one place."""

    born: int
    died: int
    dev: int
    ino: int
    kind: int
    length: int
    key: int
    node: int
    file: int
    flags: int
    user: int
    place: int
    name: bytes
    note: int = 0
    parent: int = -1
    opened: int = 0
    serial: int = 0

    def holds(self, number: int) -> bool:
        """Whether it is part of the state of commit ``number``."""
        return 0 < self.born <= number and not 0 < self.died <= number and self.kind != FREE


def journal_size(slots: int) -> int:
    """Bytes of a journal; what was never written takes no memory."""
    return values_at(slots) + BLOCKS * BLOCK


def values_at(slots: int) -> int:
    """Where the blocks begin."""
    return -(-(SLOTS_AT + slots * SLOT_SIZE) // BLOCK) * BLOCK
