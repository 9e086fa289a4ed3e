"""The pump: takes requests from byte rings, calls their handlers, and puts whole replies back.

It knows no device and no socket: a ``Lane`` is any pair of byte source and sink.  File data goes
between lane and file in place; everything else is copied out of the lane before it is looked at.

Three failures, three answers (design, rule 2):

- an impossible ring, or a size that leaves no way to find the next message: ``RingError``; the
  caller gives the device up;
- a malformed message, one of an unknown type, one that may not come now: an error reply on its tag;
- a failed operation: its errno.  An exception that nobody foresaw is EIO, logged with its
  traceback and counted; the connection lives on.

A reply is published when it is whole, and only if there is room for all of it.  Until then its lane
takes no further request: what a peer does not read, it pays for itself.
"""

from __future__ import annotations

import errno
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from backend.fileserver.handlers import HANDLERS
from backend.fileserver.in_flight import InFlight
from backend.fileserver.lane import Lane
from backend.fileserver.parked import Parked, Payload
from backend.fileserver.refusals import Refusals
from backend.fileserver.session import version
from backend.fileserver.transfers import WRITE_HEAD, NoRoom, Transfers
from protocol.ninep.codec import HEADER_SIZE, decode, encode
from protocol.ninep.dialects import Dialect
from protocol.ninep.messages import (
    TYPE_NUMBERS,
    Tflush,
    Tread,
    Treaddir,
    Tversion,
    Twrite,
)
from protocol.xenpv.ring import RingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from backend.fileserver.carrying import Carrying
    from backend.fileserver.counters import Counters
    from backend.fileserver.deferred import Deferred
    from backend.fileserver.handlers import Handler
    from backend.fileserver.in_flight import Finished
    from backend.fileserver.session import Session
    from backend.trace import TraceWriter
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Message, Request

    CarryOut = Callable[[Handler, Lane, Session, Any], Message | Deferred | Parked]
    Answer = Callable[[Lane, Any], bytes | None]
    """What the pump does with a request; the reply to send, if it is not published or late."""

BATCH_REQUESTS: Final = 64
BATCH_BYTES: Final = 4 << 20
"""What one call of ``service`` does at most, so that the caller sees its other descriptors
between batches however busy a frontend keeps it (XSA-332)."""

_HEADER: Final = Struct("<IBH")  # size[4] type[1] tag[2], intro(5)
_TWRITE: Final = TYPE_NUMBERS[Twrite]


class Connection:
    """One session served over one or more lanes; single-threaded but for deferred operations."""

    def __init__(
        self,
        session: Session,
        lanes: Sequence[Lane],
        counters: Counters,
        trace: TraceWriter | None = None,
        carrying: Carrying | None = None,
    ) -> None:
        """``carrying`` keeps account of what is done; ``None``: nobody does."""
        self.session = session
        self.lanes = tuple(lanes)
        self.counters = counters
        self._trace = trace
        self._send: Callable[[Lane, bytes], None] = Lane.send if trace is None else self._traced
        self._refusals = Refusals(session, counters)
        self._carrying = carrying
        self.in_flight = InFlight(self.lanes, self._send)
        self._transfers = Transfers(session, counters, trace, self._wait, carrying)
        # What the pump answers itself, because it alone has the lanes or knows what is in flight.
        self._pumped: dict[type[Message], Answer] = {
            Tread: self._transfers.read,
            Twrite: self._transfers.write,
            Treaddir: self._transfers.readdir,
            Tflush: self._flush,
            Tversion: self._version,
        }
        self._answers: dict[type[Message], Answer] = {Tversion: self._version}
        """Whatever may come now."""

    @property
    def completion_fd(self) -> int:
        """Polls readable when a deferred operation has ended: call ``complete``."""
        return self.in_flight.fileno()

    @property
    def watched(self) -> dict[int, Callable[[], None]]:
        """What to call when one of these descriptors polls readable; they stay the same."""
        calls = {self.completion_fd: self.complete}
        if self.session.readiness is not None:
            calls[self.session.readiness.fileno()] = self.ready
        return calls

    def go_on(self, dialect: Dialect) -> None:
        """Answer all that ``dialect`` has: it was agreed, perhaps with a worker before this one."""
        self._answers = {kind: self._answer_to(kind) for kind in dialect.requests}

    def carried_by(self, carrying: Carrying) -> None:
        """Have this one keep account of what is done from now on."""
        self._carrying = self._transfers.carrying = carrying

    def go_gently(self) -> None:
        """Any request of each lane's next batch may be our end."""
        for lane in self.lanes:
            lane.go_gently()

    def refuse(self, number: int) -> bytes | None:
        """Answer the request at the head of a lane with EIO, unlooked at; its first bytes.

        ``None`` where no whole request lies there.  Raises ``RingError``.
        """
        lane = self.lanes[number]
        available = lane.requests.available()
        if available < HEADER_SIZE:
            return None
        head = lane.requests.peek(min(WRITE_HEAD, available))
        size, _kind, tag = _HEADER.unpack_from(head)
        if not HEADER_SIZE <= size <= available:
            return None
        lane.serving = size
        self._send(lane, self._refusals.reply(tag, OSError(errno.EIO, "it has ended its worker")))
        lane.take(size)
        lane.end_batch()
        return head[:size]

    def again(self, number: int, frame: bytes, data: bytes | None = None) -> None:
        """Answer a request that came on a lane to a worker before this one, which took it.

        ``data`` is what a Twrite has beside it.  Raises ``RingError``.
        """
        size, kind, tag = _HEADER.unpack_from(frame)
        self._transfers.beside, lane = data, self.lanes[number]
        try:
            self._answer(lane, frame, size, kind, tag)
        finally:
            self._transfers.beside = None

    def say(self, number: int, tag: Tag, outcome: Message | Exception) -> None:
        """Give what a worker before this one was asked on a lane.  Raises ``RingError``."""
        reply = (
            self._refusals.reply(tag, outcome)
            if isinstance(outcome, Exception)
            else encode(outcome)
        )
        self._send(self.lanes[number], reply)

    def resume(self, number: int, tag: Tag, answer: Deferred) -> None:
        """Answer on a lane what a worker before this one was about.  Raises ``RingError``."""
        lane = self.lanes[number]
        reply: bytes | None
        try:
            reply = self._wait(lane, tag, answer)
        except Exception as error:  # noqa: BLE001 -- a guest always gets an answer on its tag
            reply = self._refusals.reply(tag, error)
        if reply is not None:
            self._send(lane, reply)

    def held(self) -> bool:
        """Whether something waits that may come without an event: call ``service`` before long.

        For a peer to read replies (Linux and Mini-OS notify then, others may not), or for what a
        request is parked for, where no descriptor tells.
        """
        for lane in self.lanes:
            if lane.stalled or lane.waiting:
                return True
        return self.in_flight.waiting

    def service(self, number: int) -> bool:
        """Serve a batch of lane ``number``'s requests; true when more lie ready.

        Raises ``RingError`` when the lane cannot be used any more.
        """
        lane = self.lanes[number]
        if self._carrying is not None:
            self._carrying.serve(number)
        try:
            more = self._serve(lane)
            if self.in_flight.waiting:
                self._answer_late(self.in_flight.unparked())
                self.in_flight.release_flushes()
        finally:
            lane.end_batch()
        if self._carrying is not None:
            self._carrying.serve(None)
        return more

    def complete(self) -> None:
        """Answer the deferred operations that have ended.  Raises ``RingError``."""
        self._answer_late(self.in_flight.completed())

    def ready(self) -> None:
        """Answer the parked requests that got what they waited for.  Raises ``RingError``."""
        if self.session.readiness is not None:
            self.session.readiness.settle()
        self._answer_late(self.in_flight.announced())

    def close(self) -> None:
        """Wait for deferred operations, then drop the session with all its descriptors."""
        self.in_flight.close()
        self.session.close()

    def _serve(self, lane: Lane) -> bool:
        if lane.waiting and not lane.drain():
            return False
        requests, counters = lane.requests, self.counters
        available = requests.available()
        budget, bytes_left = BATCH_REQUESTS, BATCH_BYTES
        while available >= HEADER_SIZE:
            length = WRITE_HEAD if available > WRITE_HEAD else available  # noqa: FURB136 -- min() is a call
            head = requests.peek(length)
            size, kind, tag = _HEADER.unpack_from(head)
            if size < HEADER_SIZE or size > requests.size:
                raise RingError(
                    f"a message of {size} bytes: messages have {HEADER_SIZE} to {requests.size}"
                )
            if size > available:
                return False
            if budget == 0 or bytes_left <= 0:
                return True
            lane.serving = size
            if not self._answer(lane, head, size, kind, tag):
                lane.serving = 0
                return False
            lane.take(size)
            counters.requests += 1
            if lane.waiting:
                return False
            available -= size
            budget -= 1
            bytes_left -= size
        return False

    def _answer(self, lane: Lane, head: bytes, size: int, kind: int, tag: Tag) -> bool:
        """Answer the request at the lane's head; false if there is no room yet for its reply."""
        try:
            reply = self._reply(lane, head, size, kind)
        except RingError:
            raise
        except NoRoom:
            lane.stalled = True
            return False
        except Exception as error:  # noqa: BLE001 -- a guest always gets an answer on its tag
            reply = self._refusals.reply(tag, error)
        lane.stalled = False
        if reply is not None:
            self._send(lane, reply)
            if self._carrying is not None and lane.serving:
                self._carrying.owe_reply(lane, tag, reply)
        return True

    def _reply(self, lane: Lane, head: bytes, size: int, kind: int) -> bytes | None:
        """The reply to send; ``None`` where it has been published or comes later."""
        if size > self.session.msize:
            raise OSError(errno.EMSGSIZE, f"{size} bytes, msize is {self.session.msize}")
        if kind != _TWRITE and size > len(head):
            head = lane.requests.peek(size)
        elif size < len(head):
            head = head[:size]
        # A request that found no room last time was traced then.
        if self._trace is not None and not lane.stalled and self._transfers.beside is None:
            beside = max(0, size - len(head))
            self._trace.request(
                (head, *(lane.requests.slices(len(head), beside) if beside else ()))
            )
        request = decode(head, size)
        answer = self._answers.get(type(request))
        if answer is None:
            raise self._not_allowed(type(request))
        reply = answer(lane, request)
        if reply is None and self._carrying is not None and lane.serving:
            self._carrying.owe(lane, request, head)
        return reply

    def _not_allowed(self, kind_of: type[Message]) -> OSError:
        if self.session.dialect is None:
            return OSError(errno.EPROTO, f"{kind_of.__name__} before Tversion")
        return OSError(errno.EOPNOTSUPP, f"{kind_of.__name__} in {self.session.dialect.name}")

    def _version(self, lane: Lane, request: Tversion) -> bytes:
        """A new session: what the old one left in flight is answered no more, version(5)."""
        lane.by_itself()
        self.in_flight.forget()
        self._answers = {Tversion: self._version}
        if self._carrying is None:
            reply = version(self.session, request)
        else:
            self._carrying.forget()
            reply = self._carrying.carry_out(version, lane, self.session, request)
        dialect = self.session.dialect
        if dialect is not None:
            self.go_on(dialect)
        return encode(reply)

    def _flush(self, lane: Lane, request: Tflush) -> None:
        self.in_flight.check_flush()
        if self._carrying is not None:
            self._carrying.cancelled(request.oldtag)
        self.in_flight.flush(lane, request)

    def _answer_to(self, kind: type[Message]) -> Answer:
        carrying, answer = self._carrying, self._pumped.get(kind)
        if carrying is None:
            return answer or self._handled(HANDLERS[kind])
        if kind is Tread and self.session.dialect is Dialect.DOTU:
            answer = self._transfers.read_accounted
        if carrying.together(kind):
            return answer or self._handled(HANDLERS[kind])
        if answer is None:
            return self._carried(HANDLERS[kind], carrying.carry_out)
        return partial(self._by_itself, answer)

    @staticmethod
    def _by_itself(answer: Answer, lane: Lane, request: Request) -> bytes | None:
        lane.by_itself()
        return answer(lane, request)

    def _carried(self, handler: Handler, carry_out: CarryOut) -> Answer:
        session, said = self.session, self._said

        def answer(lane: Lane, request: Request) -> bytes | None:
            lane.by_itself()
            return said(lane, request.tag, carry_out(handler, lane, session, request))

        return answer

    def _handled(self, handler: Handler) -> Answer:
        """Any other request: its handler.  A closure is called faster than a ``partial``."""
        session, said = self.session, self._said

        def answer(lane: Lane, request: Request) -> bytes | None:
            reply = handler(session, request)
            if isinstance(reply, tuple):  # as _said does, of what comes most
                return encode(reply)
            return said(lane, request.tag, reply)

        return answer

    def _said(self, lane: Lane, tag: Tag, answer: Message | Deferred | Parked) -> bytes | None:
        """The reply, or ``None`` where it comes later."""
        # Messages are tuples, and what comes later is none; an abstract class takes longer to ask.
        return encode(answer) if isinstance(answer, tuple) else self._wait(lane, tag, answer)

    def _wait(self, lane: Lane, tag: Tag, answer: Deferred | Parked) -> bytes | None:
        """The reply, or ``None`` where it comes later."""
        reply = self.in_flight.accept(lane, tag, answer)
        return None if reply is None else encode(reply)

    def _traced(self, lane: Lane, reply: bytes) -> None:
        assert self._trace is not None  # noqa: S101 -- else nobody comes here
        self._trace.reply((reply,))
        lane.send(reply)

    def _answer_late(self, ended: Iterable[Finished]) -> None:
        for lane, tag, outcome, wanted in ended:
            if isinstance(outcome, Exception):
                reply = self._refusals.reply(tag, outcome)
            elif isinstance(outcome, Payload):
                reply = encode(outcome.message) + outcome.data
            else:
                reply = encode(outcome)
            if wanted:
                self._send(lane, reply)
                if lane.waiting and self._carrying is not None:
                    self._carrying.owe_late_reply(lane, tag, reply)
                self.in_flight.answered(tag)
                lane.notify()
