"""What a worker owes its client: requests that it has taken and not answered, replies without room.

A request that is answered later was given back to the peer: its ring does not have it any more.  So
it is written down whole, and the next worker carries it out again; only such as may be carried out
twice are ever answered later.  A reply that waits for room is written down whole, too.

What is too long for a slot, or stands on something else that no slot has, is counted as *lost*:
while there is any, no worker can go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from backend.journal.layout import MAX_NAME, REPLY, REQUEST, Slot
from protocol.ninep.codec import HEADER_SIZE
from protocol.ninep.ids import NOFID, Fid, Tag
from protocol.ninep.messages import TYPE_NUMBERS, Tflush, Tfsync, Tlock, Twstat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from protocol.ninep.messages import Message

MOST: Final = 512
"""Debts that are written down at once: more than requests are let run, wait, or be flushed
(``offload.SLOTS``, ``parked.MAX_PARKED``, ``flush.MAX_HELD``).  The others are lost."""


_RUNNING: Final = tuple(TYPE_NUMBERS[kind] for kind in (Tfsync, Twstat, Tflush))


class Debt(NamedTuple):
    """One request or reply."""

    lane: int
    tag: Tag
    slot: int | None
    """Where it is written down; ``None``: it is lost."""
    kind: int
    """``REQUEST`` or ``REPLY``."""
    fid: Fid
    """The fid that it stands on, or NOFID."""
    parked: bool
    """Whether a flush ends it without a reply."""


def _tag(message: bytes) -> int:
    return int.from_bytes(message[5:7], "little")


class Debts:
    """All of one worker's, oldest first."""

    def __init__(self, write: Callable[[Slot], int], retire: Callable[[int, int], None]) -> None:
        """``write`` puts a slot where it holds from its commit on, ``retire`` ends one with one."""
        self._write = write
        self._retire = retire
        self.owed: Final[list[Debt]] = []
        self._order = 0
        self.lost = 0
        """How many no other worker could pay."""

    def owe_request(self, commit: int, lane: int, request: Message, frame: bytes) -> None:
        """A request was taken that is answered later."""
        fid = request.fid if isinstance(request, Tfsync | Twstat | Tlock) else NOFID
        again = fid != NOFID or isinstance(request, Tflush)
        parked = not isinstance(request, Tfsync | Twstat | Tflush)
        debt = Debt(lane, request.tag, None, REQUEST, fid, parked)
        self._owe(commit, debt, frame if again else None)

    def owe_reply(self, commit: int, lane: int, tag: Tag, reply: bytes) -> None:
        """A reply found no room."""
        self._owe(commit, Debt(lane, tag, None, REPLY, NOFID, parked=False), reply)

    def restored(self, slots: Iterable[tuple[int, Slot]], lanes: int) -> list[Slot]:
        """Take over those of the worker before us, and tell them oldest first.

        Raises ``ValueError`` where one makes no sense.
        """
        held = sorted(slots, key=lambda entry: entry[1].place)
        for index, slot in held:
            message = slot.name[: slot.length]
            size = int.from_bytes(message[:4], "little")
            if not 0 <= slot.node < lanes or size != slot.length or size < HEADER_SIZE:
                raise ValueError("what is owed is no message")
            parked = slot.kind == REQUEST and message[4] not in _RUNNING
            debt = Debt(slot.node, Tag(slot.file), index, slot.kind, Fid(slot.key), parked)
            self.owed.append(debt)
            self._order = slot.place
        return [slot for _, slot in held]

    def paid(self, commit: int, lane: int, reply: bytes) -> None:
        """A reply is published."""
        tag = _tag(reply)
        for debt in self.owed:
            if (debt.lane, debt.tag) == (lane, tag):
                self._end(debt, commit)
                return

    def forget(self, commit: int) -> None:
        """A new session: nobody waits for what the old one asked, but what was said is said."""
        for debt in [debt for debt in self.owed if debt.kind == REQUEST]:
            self._end(debt, commit)

    def cancelled(self, commit: int, tag: Tag) -> None:
        """A request that waits gets no reply, whichever lane it came on: it was flushed.

        What runs is answered before its flush.
        """
        for debt in [debt for debt in self.owed if debt.tag == tag and debt.parked]:
            self._end(debt, commit)

    def fid_changed(self, commit: int, fid: Fid) -> None:
        """Whatever stood on a fid stands on something that no fid leads to."""
        for number, debt in enumerate(self.owed):
            if debt.fid == fid and debt.slot is not None:
                self._retire(debt.slot, commit)
                self.owed[number] = debt._replace(slot=None)
                self.lost += 1

    def _owe(self, commit: int, debt: Debt, frame: bytes | None) -> None:
        """``frame`` is what to write down, ``None`` where that would not do."""
        if frame is None or len(frame) >= MAX_NAME or len(self.owed) >= MOST:
            self.lost += 1
        else:
            self._order += 1
            lane, tag, _, kind, fid, _ = debt
            length = len(frame)
            slot = Slot(commit, 0, 0, 0, kind, length, fid, lane, tag, 0, 0, self._order, frame)
            debt = debt._replace(slot=self._write(slot))
        self.owed.append(debt)

    def _end(self, debt: Debt, commit: int) -> None:
        self.owed.remove(debt)
        if debt.slot is None:
            self.lost -= 1
        else:
            self._retire(debt.slot, commit)
