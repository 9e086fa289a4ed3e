"""Requests out, replies in: what of a session is in flight, and whether it still works.

This is the client's engine room: it checks every reply against the request it claims to answer.
``client`` is its face.
"""

from __future__ import annotations

import errno
import os
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from frontend_stub.numbers import NumberPool
from protocol.ninep.codec import decode, encode
from protocol.ninep.errors import ProtocolError
from protocol.ninep.ids import Tag
from protocol.ninep.messages import Rlerror

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from frontend_stub.pending import Pending
    from frontend_stub.transport import Buffer, Slices, Transport
    from protocol.ninep.messages import Message

MAX_IN_FLIGHT: Final = 64
"""Requests of one client at once: enough to fill any ring, few enough for any server."""


class Exchange:
    """The requests in flight on ``transport``, which it owns.

    Once broken it stays so: everything in flight, and everything later, fails with the cause.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport: Final = transport
        self.msize = transport.max_msize
        self._tags = NumberPool("tags", MAX_IN_FLIGHT)
        self._in_flight: dict[int, Pending[Any]] = {}
        self._broken: OSError | None = None

    def __len__(self) -> int:
        """Requests sent and not yet answered."""
        return len(self._in_flight)

    def take_tag(self, seconds: float) -> Tag:
        """A free tag; takes replies until there is one.  Raises ``OSError`` (ETIMEDOUT)."""
        if self._tags.exhausted:
            self._until(lambda: not self._tags.exhausted, seconds, "free tag")
        return Tag(self._tags.take())

    def release(self, tag: Tag) -> None:
        """Free a tag; those that nobody took (Tversion's, a Tflush's) are nothing to free."""
        if tag < MAX_IN_FLIGHT:
            self._tags.give_back(tag)

    def start(self, request: Message, pending: Pending[Any], seconds: float) -> None:
        """Send a request whose tag is ``pending``'s; waits up to ``seconds`` for room.

        Raises ``OSError``: ETIMEDOUT, EMSGSIZE; then nothing was sent.
        """
        payload = pending.payload
        length = sum(map(len, payload)) if payload else 0
        frame = encode(request, length)
        if len(frame) + length > self.msize:
            raise OSError(
                errno.EMSGSIZE,
                f"a request of {len(frame) + length} bytes; this session's msize is {self.msize}",
                pending.name,
            )
        tag = pending.tag
        if not self._try_send(tag, frame, payload):
            self._until(lambda: self._try_send(tag, frame, payload), seconds, "room to send")
        # Nothing can be answered before the next receive, so there is time to register.
        self._in_flight[tag] = pending

    def _try_send(self, tag: int, frame: bytes, payload: Sequence[Buffer]) -> bool:
        if self._broken is not None:
            raise _again(self._broken)
        try:
            return self.transport.try_send(tag, frame, payload)
        except BaseException as error:
            self.fail(error)
            raise

    def run(self, pending: Pending[Any], seconds: float) -> bool:
        """Take replies until ``pending`` is settled; ``False`` when the time is over first."""
        deadline = 0.0
        self.flush()
        while not pending.done:
            if self._receive():
                continue
            now = monotonic()
            if not deadline:
                deadline = now + seconds
            elif now >= deadline:
                return False
            self.flush()
            self._wait(deadline - now)
        return True

    def take(self) -> None:
        """Take the replies that have arrived, and wait for nothing."""
        self._wait(0)
        while self._receive():
            pass
        self.flush()

    def flush(self) -> None:
        """Tell the server of what was sent since the last time."""
        try:
            self.transport.flush()
        except BaseException as error:
            self.fail(error)
            raise

    def forget(self, tag: Tag, error: OSError) -> None:
        """A request that was flushed without an answer ends with ``error``."""
        self._in_flight.pop(tag).settle(None, error)

    def _until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Take replies until ``ready()``.  Raises ``OSError`` (ETIMEDOUT)."""
        deadline = monotonic() + seconds
        self.flush()
        while not ready():
            if self._receive():
                continue
            now = monotonic()
            if now >= deadline:
                raise TimeoutError(
                    errno.ETIMEDOUT, f"no {what} within {seconds:g} s", self.transport.name
                )
            self.flush()
            self._wait(deadline - now)

    def _wait(self, seconds: float) -> None:
        try:
            self.transport.wait(seconds)
        except OSError as error:  # an interrupted wait, on the other hand, has lost nothing
            self.fail(error)
            raise

    def _receive(self) -> int:
        if self._broken is not None:
            raise _again(self._broken)
        try:
            return self.transport.receive(self._deliver)
        except BaseException as error:
            # Also for KeyboardInterrupt: a reply may be half taken, so the stream is lost.
            self.fail(error)
            raise

    def _deliver(self, frame: bytes, size: int, payload: Slices) -> None:
        """Settle the request that a reply is for.  Raises ``OSError`` (EPROTO)."""
        try:
            reply = decode(frame, size)
        except ProtocolError as error:
            raise self._protocol_error(str(error)) from error
        pending = self._in_flight.pop(reply.tag, None)
        if pending is None:
            raise self._protocol_error(
                f"a {type(reply).__name__} on tag {reply.tag}, which is not in flight"
            )
        failure: OSError | None = None
        if type(reply) is pending.expected:
            if payload:
                failure = self._place(pending, payload)
        elif isinstance(reply, Rlerror):
            failure = _failure(reply.ecode, pending.name)
        else:
            raise self._protocol_error(
                f"{type(reply).__name__} as the answer where {pending.expected.__name__} belongs"
            )
        pending.settle(reply, failure)
        if not pending.flushing:
            self.release(pending.tag)

    def _place(self, pending: Pending[Any], payload: Slices) -> OSError | None:
        """Give a reply's data to its sink; the local failure to take them is the request's."""
        if sum(map(len, payload)) > pending.room or pending.sink is None:
            raise self._protocol_error(f"more data than the {pending.room} bytes asked for")
        try:
            pending.sink(payload)
        except OSError as error:
            return error
        return None

    def _protocol_error(self, what: str) -> OSError:
        return OSError(errno.EPROTO, f"the server broke the protocol: {what}", self.transport.name)

    def fail(self, cause: BaseException) -> None:
        """End the client: everything in flight fails with ``cause``, and so does what follows."""
        if self._broken is not None:
            return
        if isinstance(cause, OSError):
            self._broken = cause
        else:
            self._broken = ConnectionAbortedError(
                errno.ECONNABORTED, f"interrupted ({type(cause).__name__})", self.transport.name
            )
        for pending in self._in_flight.values():
            pending.settle(None, _again(self._broken))
        self._in_flight.clear()


def _failure(number: int, name: str | None) -> OSError:
    """The server's errno as Python's exception for it; one that is no errno becomes EIO."""
    if number not in errno.errorcode:
        number = errno.EIO
    return OSError(number, os.strerror(number), name)


def _again(error: OSError) -> OSError:
    """A fresh exception of the same content: raising one object twice would mix its tracebacks."""
    return OSError(error.errno, error.strerror, error.filename)
