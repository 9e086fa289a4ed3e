"""Carries requests out with a record of what must not happen twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from backend.channel.file import LateSend
from backend.fileserver import io
from backend.fileserver.dotu.listing import StatDirectory
from backend.journal.closings import ClosingFile
from backend.journal.debts import send_debt
from backend.journal.noted_fids import Attended
from backend.journal.once import NOTHING, ONCE, appended
from backend.journal.once_dotu import ONCE_DOTU
from backend.journal.together import TOGETHER
from protocol.ninep.messages import TYPE_NUMBERS, Tclunk, Tread, Twrite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.channel.file import ChannelFile
    from backend.channel.sending import SendRecord
    from backend.fileserver.files import Closing
    from backend.fileserver.lane import Lane
    from backend.fileserver.session import Session
    from backend.journal.layout import Begun
    from backend.journal.writer import Writer
    from protocol.ninep.ids import Fid, Tag
    from protocol.ninep.messages import Message, Request

    Point = Callable[[str], None]

_ONCE: Final = {**ONCE, **ONCE_DOTU}

R = TypeVar("R", bound="Request")
T = TypeVar("T")


def no_point(name: str) -> None:
    """Where a test may end the process; nothing, otherwise."""


class Carrier:
    """``fileserver.carrying.Carrying`` with a journal."""

    def __init__(self, writer: Writer, unfinished: Sequence[Begun], point: Point) -> None:
        """``unfinished`` is what the worker before us had begun of each lane, if it had any."""
        self._writer = writer
        self._attended = writer.fids.attended
        self.serve = writer.journal.serve
        self._unfinished = {number: begun for number, begun in enumerate(unfinished) if begun.whole}
        self._point = point
        self._closing: tuple[Closing, int] | None = None
        """The file whose end the reply to a Tclunk waits for, and its qid path."""
        self._late: LateSend | None = None
        """What a Twrite to a channel waits with."""
        self._again: SendRecord | None = None
        # Of a channel's bytes, what one reply has taken is settled before the next one looks.
        self._together = TOGETHER - {Tread} if writer.session.readiness else TOGETHER

    def owe(self, lane: Lane, request: Message, frame: bytes) -> None:
        writer = self._writer
        commit, number = writer.number + 1, writer.lane_number(lane)
        if type(request) is Tclunk and self._closing is not None:
            closing = ClosingFile(*self._closing)
            writer.debts.owe_closing(commit, number, request.tag, closing)
        elif type(request) is Twrite and self._late is not None:
            late, self._late = self._late, None
            debt = send_debt(number, request, writer.session.fids)
            late.record = writer.debts.owe_send(commit, debt, frame, late.kept)
        else:
            writer.debts.owe_request(commit, number, request, frame, writer.session.fids)

    def owe_reply(self, lane: Lane, tag: Tag, reply: bytes) -> None:
        writer = self._writer
        writer.debts.owe_reply(writer.number + 1, writer.lane_number(lane), tag, reply)

    def owe_late_reply(self, lane: Lane, tag: Tag, reply: bytes) -> None:
        writer = self._writer
        writer.debts.owe_late_reply(writer.number + 1, writer.lane_number(lane), tag, reply)

    def cancelled(self, tag: Tag) -> None:
        self._writer.debts.cancelled(self._writer.number + 1, tag)

    def forget(self) -> None:
        self._writer.debts.forget(self._writer.number + 1)

    def carry_out(
        self,
        handler: Callable[[Session, R], T],
        lane: Lane,
        session: Session,
        request: R,
    ) -> T:
        self._writer.touch(request)
        kind = cast("type[Message]", type(request))
        if kind is Tclunk:
            self._closing = _closing(session, cast("Tclunk", request).fid)
        once = _ONCE.get(kind)
        if once is None:
            return handler(session, request)
        begun = self._begun(lane, request)
        if begun is not None:
            self._point("begun")
            # Its reply is a message, as most handlers' are.
            reply = cast("T | None", once.finish(session, request, begun))
            return handler(session, request) if reply is None else reply
        try:
            before = once.before(session, request)
        except (OSError, ValueError):
            return handler(session, request)  # which finds the same wrong with it
        if before is None:
            return handler(session, request)
        self._writer.begin(lane, TYPE_NUMBERS[kind], before)
        self._point("begun")
        answer = handler(session, request)
        self._point("done")
        return answer

    def together(self, kind: type[Message]) -> bool:
        return kind in self._together

    def reading(self, lane: Lane, session: Session, fid: Fid) -> None:
        state = session.fids.get(fid)
        if state is not None and type(state.file) is StatDirectory:
            lane.by_itself()
            self._writer.touch_fid(fid)

    def write(
        self, lane: Lane, session: Session, request: Twrite, buffers: Sequence[memoryview]
    ) -> int:
        attended = self._attended.get(request.fid)
        if attended is None:
            return io.write(session, request, buffers)
        lane.by_itself()
        if Attended.SENDS in attended:
            return self._send(lane, session, request, buffers)
        if Attended.APPENDS not in attended:
            self._writer.touch(request)
            return io.write(session, request, buffers)
        if Attended.UNTOUCHED in attended:
            self._writer.touch(request)
        state = session.fids[request.fid]
        begun = self._begun(lane, request)
        if begun is None:
            size = os.fstat(state.node.fd).st_size
            self._writer.begin(lane, TYPE_NUMBERS[Twrite], (1, 0, 0, 0, size))
            self._point("begun")
            done = io.write(session, request, buffers)
            self._point("done")
            return done
        done = appended(state, session.tree, b"".join(buffers), begun)
        rest = _after(buffers, done)
        return done + (io.write(session, request, rest) if rest else 0)

    def send_again(self, record: SendRecord) -> None:
        """The Twrite that comes next is one that a worker before us has let wait."""
        self._again = record

    def _send(
        self, lane: Lane, session: Session, request: Twrite, buffers: Sequence[memoryview]
    ) -> int:
        """To a channel's client, once; or, as it may be that it has to wait, not yet."""
        file = cast("ChannelFile", session.fids[request.fid].file)
        record, self._again = self._again, None
        if record is None:
            begun = self._begun(lane, request)
            record = self._writer.sent(lane)
            sent = None if begun is None else record.sent
            if sent is not None:
                return sent
            record.begin()
            self._writer.begin(lane, TYPE_NUMBERS[Twrite], NOTHING)
            self._point("begun")
        file.record = record
        try:
            done = io.write(session, request, buffers)
        except LateSend as wait:
            wait.record = record
            self._late = wait
            raise
        finally:
            file.record = None
        self._point("done")
        return done

    def _begun(self, lane: Lane, request: Any) -> Begun | None:  # noqa: ANN401 -- any message
        """What the worker before us knew of this request when it began it.

        A guest that has put another request in its place since, gets that one carried out.
        """
        if not self._unfinished:
            return None
        number = self._writer.lane_number(lane)
        begun = self._unfinished.pop(number, None)
        if begun is None:
            return None
        mine = (self._writer.consumed(lane), TYPE_NUMBERS[type(request)])
        if (begun.consumed, begun.kind) != mine:
            self._writer.end_begun(lane)
            return None
        self._writer.begun = lane
        return begun


def _closing(session: Session, fid: Fid) -> tuple[Closing, int] | None:
    """What a Tclunk closes, if that may take steps; not where it removes the file as well."""
    state = session.fids.get(fid)
    if state is None or state.remove_on_close or not hasattr(state.file, "entry"):
        return None
    return cast("Closing", state.file), state.node.qid.path


def _after(buffers: Sequence[memoryview], done: int) -> list[memoryview]:
    """What is left of ``buffers`` after ``done`` bytes."""
    rest = []
    for buffer in buffers:
        rest.append(buffer[done:])
        done = max(0, done - len(buffer))
    return [buffer for buffer in rest if len(buffer)]
