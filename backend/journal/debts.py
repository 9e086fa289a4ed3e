"""What a worker owes its client: requests that it has taken and not answered, replies without room.

A request that is answered later was given back to the peer: its ring does not have it any more.  So
it is written down whole, and the next worker carries it out again; only such as may be carried out
twice are ever answered later.  A reply that waits for room is written down whole, too.

What is too long for a slot, or stands on something else that no slot has, is counted as *lost*:
while there is any, no worker can go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from backend.journal.layout import ENDED, MAX_NAME, REPLY, REQUEST, Slot
from protocol.ninep.codec import HEADER_SIZE
from protocol.ninep.ids import NOFID, Fid, Tag
from protocol.ninep.messages import TYPE_NUMBERS, Tflush, Tfsync, Tlock, Twstat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from backend.fileserver.fids import FidState
    from protocol.ninep.messages import Message

    Fids = Mapping[Fid, FidState]

MOST: Final = 512
"""Debts that are written down at once: more than requests are let run, wait, or be flushed
(``offload.SLOTS``, ``parked.MAX_PARKED``, ``flush.MAX_HELD``).  The others are lost."""


_RUNNING: Final = tuple(TYPE_NUMBERS[kind] for kind in (Tfsync, Twstat, Tflush))


@dataclass(eq=False, slots=True)
class Debt:
    """One request or reply."""

    lane: int
    tag: Tag
    kind: int
    """``REQUEST``, ``REPLY`` or ``ENDED``."""
    fid: Fid = NOFID
    """The fid that it stands on, or NOFID."""
    parked: bool = False
    """Whether a flush ends it without a reply."""
    slot: int | None = None
    """Where it is written down; ``None``: it is lost."""
    order: int = 0
    """How many came before."""
    stands_on: object = None
    """What the fid stood for when it was asked."""
    closing: ClosingFile | None = None
    """Of a fid that was clunked: how its file is written down."""


class ClosingFile:
    """A file that is closed in steps, of which less and less is left."""

    def __init__(self, describe: Callable[[], Slot | None]) -> None:
        """``describe`` gives what to write down of it now; ``None``: nothing would do."""
        self._describe = describe
        self._left: Slot | None = None

    def left(self, debt: Debt, commit: int) -> tuple[bool, Slot | None]:
        """Whether there is less than there was at the last look, and what to write down."""
        slot = self._describe()
        if slot is not None:
            slot = slot._replace(kind=ENDED, key=debt.lane << 16 | debt.tag, place=debt.order)
        changed, self._left = slot != self._left, slot
        return changed, None if slot is None else slot._replace(born=commit)


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
        self.closings: Final[list[Debt]] = []
        """Those that are files' ends."""

    def owe_request(
        self, commit: int, lane: int, request: Message, frame: bytes, fids: Fids
    ) -> None:
        """A request was taken that is answered later."""
        fid = request.fid if isinstance(request, Tfsync | Twstat | Tlock) else NOFID
        again = fid != NOFID or isinstance(request, Tflush)
        parked = not isinstance(request, Tfsync | Twstat | Tflush)
        debt = Debt(lane, request.tag, REQUEST, fid, parked, stands_on=_stand(fids, fid))
        self._owe(commit, debt, frame if again else None)

    def owe_reply(self, commit: int, lane: int, tag: Tag, reply: bytes) -> None:
        """A reply found no room."""
        self._owe(commit, Debt(lane, tag, REPLY), reply)

    def owe_late_reply(self, commit: int, lane: int, tag: Tag, reply: bytes) -> None:
        """What was owed has come to its end, and its reply found no room."""
        self.paid(commit, lane, reply)
        self.owe_reply(commit, lane, tag, reply)

    def owe_closing(self, commit: int, lane: int, tag: Tag, closing: ClosingFile) -> None:
        """A fid was clunked whose file is closed in steps."""
        debt = Debt(lane, tag, ENDED, closing=closing)
        if len(self.owed) < MOST:
            self._order += 1
            debt.order = self._order
            slot = closing.left(debt, commit)[1]
            debt.slot = None if slot is None else self._write(slot)
        self.lost += debt.slot is None
        self.owed.append(debt)
        self.closings.append(debt)

    def note_closings(self, commit: int) -> None:
        """Write down what is left of files' ends, where that has changed."""
        for debt in self.closings:
            assert debt.closing is not None  # noqa: S101 -- each has one
            changed, slot = debt.closing.left(debt, commit)
            if changed and debt.slot is not None:
                self._retire(debt.slot, commit)
                debt.slot = None if slot is None else self._write(slot)
                self.lost += debt.slot is None

    def restored(self, slots: Iterable[tuple[int, Slot]], lanes: int, fids: Fids) -> list[Owed]:
        """Take over those of the worker before us, and tell them oldest first.

        Raises ``ValueError`` where one makes no sense.
        """
        held = sorted(slots, key=lambda entry: entry[1].place)
        for index, slot in held:
            debt = _ended(slot) if slot.kind == ENDED else _message(slot, fids)
            if not 0 <= debt.lane < lanes:
                raise ValueError("what is owed is no ring's")
            debt.slot = index
            debt.order = self._order = slot.place
            self.owed.append(debt)
        return [Owed(debt, slot) for debt, (_, slot) in zip(self.owed, held, strict=True)]

    def closes(self, debt: Debt, closing: ClosingFile) -> None:
        """The file of a debt that was taken over is being closed."""
        debt.closing = closing
        closing.left(debt, 0)
        self.closings.append(debt)

    def paid(self, commit: int, lane: int, reply: bytes) -> None:
        """A reply is published."""
        tag = _tag(reply)
        for debt in self.owed:
            if (debt.lane, debt.tag) == (lane, tag):
                self._end(debt, commit)
                return

    def forget(self, commit: int) -> None:
        """A new session: nobody waits for what the old one asked, but what was said is said."""
        for debt in [debt for debt in self.owed if debt.kind != REPLY]:
            self._end(debt, commit)

    def cancelled(self, commit: int, tag: Tag) -> None:
        """A request that waits gets no reply, whichever lane it came on: it was flushed.

        What runs is answered before its flush.
        """
        for debt in [debt for debt in self.owed if debt.tag == tag and debt.parked]:
            self._end(debt, commit)

    def fid_changed(self, commit: int, fid: Fid, fids: Fids) -> None:
        """What stood on a fid may stand on something that no fid leads to."""
        for debt in self.owed:
            if debt.fid == fid and debt.slot is not None and debt.stands_on != _stand(fids, fid):
                self._retire(debt.slot, commit)
                debt.slot = None
                self.lost += 1

    def _owe(self, commit: int, debt: Debt, frame: bytes | None) -> None:
        """``frame`` is what to write down, ``None`` where that would not do."""
        if frame is None or len(frame) >= MAX_NAME or len(self.owed) >= MOST:
            self.lost += 1
        else:
            self._order += 1
            debt.order = self._order
            slot = Slot(
                *(commit, 0, 0, 0, debt.kind, len(frame), debt.fid),
                *(debt.lane, debt.tag, 0, 0, debt.order, frame),
            )
            debt.slot = self._write(slot)
        self.owed.append(debt)

    def _end(self, debt: Debt, commit: int) -> None:
        self.owed.remove(debt)
        if debt.closing is not None:
            self.closings.remove(debt)
        if debt.slot is None:
            self.lost -= 1
        else:
            self._retire(debt.slot, commit)


class Owed(NamedTuple):
    """A debt of the worker before us, as it was written down."""

    debt: Debt
    slot: Slot


def _stand(fids: Fids, fid: Fid) -> object:
    state = fids.get(fid)
    return None if state is None else (state, state.file)


def _ended(slot: Slot) -> Debt:
    return Debt(slot.key >> 16, Tag(slot.key & 0xFFFF), ENDED)


def _message(slot: Slot, fids: Fids) -> Debt:
    message = slot.name[: slot.length]
    if int.from_bytes(message[:4], "little") != slot.length or slot.length < HEADER_SIZE:
        raise ValueError("what is owed is no message")
    parked = slot.kind == REQUEST and message[4] not in _RUNNING
    fid = Fid(slot.key)
    stands_on = _stand(fids, fid)
    return Debt(slot.node, Tag(slot.file), slot.kind, fid, parked, stands_on=stands_on)
