"""What a worker owes its client: requests that it has taken and not answered, replies without room.

A request that is answered later was given back to the peer: its ring does not have it any more.  So
it is written down whole, and the next worker carries it out again; only such as may be carried out
twice are ever answered later.  A reply that waits for room is written down whole, too.

What is too long for a slot, or stands on something else that no slot has, is counted as *lost*:
while there is any, no worker can go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from backend.channel.sending import RECORD, SendRecord
from backend.journal.layout import ENDED, GONE, MAX_NAME, REPLY, REQUEST, Slot
from protocol.ninep.codec import HEADER_SIZE
from protocol.ninep.ids import NOFID, Fid, Tag
from protocol.ninep.messages import (
    TYPE_NUMBERS,
    Tflush,
    Tfsync,
    Tlock,
    Tlopen,
    Topen,
    Tread,
    Twrite,
    Twstat,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from backend.fileserver.fids import FidState
    from backend.journal.closings import ClosingFile
    from backend.journal.values import Room, Values
    from protocol.ninep.messages import Message

    Fids = Mapping[Fid, FidState]

MOST: Final = 512
"""Debts that are written down at once: more than requests are let run, wait, or be flushed
(``offload.SLOTS``, ``parked.MAX_PARKED``, ``flush.MAX_HELD``).  The others are lost."""


_STANDING: Final = (Tfsync, Twstat, Tlock, Tread, Twrite, Tlopen, Topen)
"""Requests that stand on a fid, and are answered later, if at all, for its sake."""


def _kinds(*kinds: type[Message]) -> frozenset[bytes]:
    return frozenset(bytes([TYPE_NUMBERS[kind]]) for kind in kinds)


_WRITING: Final = _kinds(Twrite)
_OPENING: Final = _kinds(Tlopen, Topen)
_OF_STREAMS: Final = _kinds(Tread, Twrite, Tlopen, Topen)
"""By the types in their headers: what waits for a stream's other end."""

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
    frame: bytes = b""
    """The message, if that is not all in blocks."""
    flags: int = 0
    room: Room | None = None
    size: int = 0
    """Of what lies in blocks."""
    closing: ClosingFile | None = None
    """Of a fid that was clunked: how its file is written down."""


def _tag(message: bytes) -> int:
    return int.from_bytes(message[5:7], "little")


class Debts:
    """All of one worker's, oldest first."""

    def __init__(
        self,
        write: Callable[[Slot], int],
        retire: Callable[[int, int], None],
        values: Values,
    ) -> None:
        """``write`` puts a slot where it holds from its commit on, ``retire`` ends one with one."""
        self._values = values
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
        fid = request.fid if isinstance(request, _STANDING) else NOFID
        again = fid != NOFID or isinstance(request, Tflush)
        parked = not isinstance(request, Tfsync | Twstat | Tflush)
        debt = Debt(lane, request.tag, REQUEST, fid, parked, stands_on=_stand(fids, fid))
        self._owe(commit, debt, frame if again else None)

    def owe_send(self, commit: int, debt: Debt, frame: bytes, data: bytes) -> SendRecord | None:
        """A Twrite to a channel was taken, which sends ``data`` when there is room.

        Where that is to be written down; ``None``: nowhere.
        """
        room = debt.room = self._values.hold(RECORD + len(data))
        self._owe(commit, debt, None if room is None else frame)
        if room is None:
            return None
        debt.size = RECORD + len(data)
        memory = self._values.memory(room)
        memory[RECORD : debt.size] = data
        record = SendRecord(memory[:RECORD])
        record.begin()
        self._rewrite(debt, commit)
        return record

    def waiting_send(self, slot: Slot, debt: Debt) -> tuple[SendRecord, bytes]:
        """What ``owe_send`` was told.  Raises ``ValueError``."""
        if debt.room is None or slot.dev < RECORD:
            raise ValueError("a write without data")
        memory = self._values.memory(debt.room)
        return SendRecord(memory[:RECORD]), bytes(memory[RECORD : slot.dev])

    def message(self, slot: Slot, debt: Debt) -> bytes:
        """A message, wherever it lies."""
        if debt.kind == REPLY and debt.room is not None:
            return bytes(self._values.memory(debt.room)[: slot.dev])
        return slot.name[: slot.length]

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
            if slot.ino and slot.kind != ENDED:
                debt.room, debt.size = self._values.held(slot.ino - 1, slot.dev), slot.dev
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
            if debt.fid != fid or debt.slot is None or debt.stands_on == _stand(fids, fid):
                continue
            if debt.frame[4:5] not in _OF_STREAMS:
                self._retire(debt.slot, commit)
                debt.slot = None
                self.lost += 1
            elif not _has_opened(debt, fids):
                # It hears that its fid is gone, whoever tells it.
                debt.flags |= GONE
                self._rewrite(debt, commit)

    def _owe(self, commit: int, debt: Debt, frame: bytes | None) -> None:
        """``frame`` is what to write down, ``None`` where that would not do."""
        if frame is not None and len(frame) >= MAX_NAME:
            room = debt.room = self._values.hold(len(frame))
            if room is not None:
                debt.size = len(frame)
                self._values.memory(room)[: len(frame)] = frame
            frame = None if room is None or debt.kind != REPLY else b""
        if frame is None or len(self.owed) >= MOST:
            self.lost += 1
        else:
            self._order += 1
            debt.order, debt.frame = self._order, frame
            debt.slot = self._write(_slot(debt, commit))
        self.owed.append(debt)

    def _rewrite(self, debt: Debt, commit: int) -> None:
        if debt.slot is not None:
            self._retire(debt.slot, commit)
            debt.slot = self._write(_slot(debt, commit))

    def _end(self, debt: Debt, commit: int) -> None:
        self.owed.remove(debt)
        if debt.closing is not None:
            self.closings.remove(debt)
        if debt.room is not None:
            self._values.give(debt.room)
        if debt.slot is None:
            self.lost -= 1
        else:
            self._retire(debt.slot, commit)


class Owed(NamedTuple):
    """A debt of the worker before us, as it was written down."""

    debt: Debt
    slot: Slot


def send_debt(lane: int, request: Twrite, fids: Fids) -> Debt:
    """For ``owe_send``."""
    stands_on = _stand(fids, request.fid)
    return Debt(lane, request.tag, REQUEST, request.fid, parked=True, stands_on=stands_on)


def _stand(fids: Fids, fid: Fid) -> object:
    state = fids.get(fid)
    return None if state is None else (state, state.file)


def _slot(debt: Debt, commit: int) -> Slot:
    block = 0 if debt.room is None else debt.room.start + 1
    return Slot(
        *(commit, 0, debt.size, block, debt.kind, len(debt.frame), debt.fid),
        *(debt.lane, debt.tag, debt.flags, 0, debt.order, debt.frame),
    )


def _has_opened(debt: Debt, fids: Fids) -> bool:
    """Whether the fid is open because of this request."""
    state = fids.get(debt.fid)
    before = cast("tuple[FidState, object] | None", debt.stands_on)
    return (
        debt.frame[4:5] in _OPENING
        and state is not None
        and before is not None
        and state is before[0]
        and state.is_open
    )


def _ended(slot: Slot) -> Debt:
    return Debt(slot.key >> 16, Tag(slot.key & 0xFFFF), ENDED)


def _message(slot: Slot, fids: Fids) -> Debt:
    message = slot.name[: slot.length]
    fid = Fid(slot.key)
    if slot.kind == REQUEST or not slot.ino:
        size = int.from_bytes(message[:4], "little")
        whole = size == slot.length or (message[4:5] in _WRITING and size > slot.length)
        if slot.length < HEADER_SIZE or not whole:
            raise ValueError("what is owed is no message")
    parked = slot.kind == REQUEST and message[4] not in _RUNNING
    debt = Debt(slot.node, Tag(slot.file), slot.kind, fid, parked, stands_on=_stand(fids, fid))
    debt.frame, debt.flags = message, slot.flags
    return debt
