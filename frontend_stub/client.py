"""The 9P client's core: requests in flight, their replies, errors, timeouts and flushes.

One thread uses a client.  ``submit`` sends and returns at once, ``wait`` takes whatever replies
arrive until the one asked for is there; ``call`` is both.  Above it, ``share`` and ``file`` have
names and files, and ``streaming`` keeps several requests in flight for one file.

A failed operation is an ``OSError`` with the server's errno and the file's name.  A lost
connection (ECONNRESET), a peer that breaks the protocol (EPROTO) or does not answer even a flush
(ETIMEDOUT) ends the client: every request in flight and every later one raises that error.
"""

from __future__ import annotations

import errno
import os
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

from frontend_stub.numbers import NumberPool
from frontend_stub.pending import Pending, R
from protocol.ninep.codec import decode, encode
from protocol.ninep.dialects import Dialect
from protocol.ninep.errors import ProtocolError
from protocol.ninep.ids import NOTAG, Tag
from protocol.ninep.messages import Rflush, Rlerror, Rversion, Tflush, Tversion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from frontend_stub.transport import Buffer, Slices, Transport
    from protocol.ninep.messages import Message

MIN_MSIZE: Final = 4096
"""Linux refuses to mount with less."""

MAX_IN_FLIGHT: Final = 64
"""Requests of one client at once: enough to fill any ring, few enough for any server."""

MAX_FIDS: Final = 1024
"""Fids of one client at once: what a process may have open by default, on the server too."""

IO_HEADER: Final = 24
"""``P9_IOHDRSZ``: what msize must leave for the header of a Twrite or an Rread."""

DEFAULT_TIMEOUT: Final = 300.0
"""Seconds for one answer.  Long: a worker may be replaced, or a disk be slow, behind a request."""

FLUSH_TIMEOUT: Final = 10.0
"""Seconds for the answer to a flush, which waits for no disk."""


class Client:
    """A 9P2000.L session over ``transport``, which it owns.  Made by ``connect``.

    >>> with Client.connect(SocketTransport.connect("unix:/run/share.9p")) as client:
    ...     one = client.submit(lambda tag: Tgetattr(tag, fid, GETATTR_BASIC), Rgetattr, name="a")
    ...     two = client.submit(lambda tag: Tstatfs(tag, fid), Rstatfs)
    ...     print(client.wait(one).size, client.wait(two).bfree)
    """

    def __init__(self, transport: Transport, timeout: float = DEFAULT_TIMEOUT) -> None:
        self.timeout = timeout
        self.fids: Final = NumberPool("fids", MAX_FIDS)
        self.msize = transport.max_msize
        self._transport = transport
        self._tags = NumberPool("tags", MAX_IN_FLIGHT)
        self._in_flight: dict[int, Pending[Any]] = {}
        self._broken: OSError | None = None

    @classmethod
    def connect(
        cls, transport: Transport, msize: int | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> Client:
        """Agree on the version and the message size; the transport is closed if that fails.

        ``msize`` is the most to ask for, in bytes (default: the transport's best); the server may
        answer with less.  ``timeout`` is in seconds, for each answer of the session.
        Raises ``OSError``: EPROTONOSUPPORT when the server does not speak 9P2000.L.
        """
        client = cls(transport, timeout)
        try:
            client.negotiate(msize)
        except BaseException:
            client.close()
            raise
        return client

    def negotiate(self, msize: int | None = None) -> None:
        """Tversion: start a new session on the connection, in which no fid is known."""
        best = self._transport.max_msize
        wanted = best if msize is None else min(msize, best)
        if wanted < MIN_MSIZE:
            raise OSError(errno.EINVAL, f"an msize of {wanted}: at least {MIN_MSIZE} is needed")
        version = Dialect.DOTL.value
        self.msize = wanted
        pending = Pending(NOTAG, Rversion)
        self._start(Tversion(NOTAG, wanted, version), pending)
        reply = self.wait(pending)
        if reply.version != version:
            raise OSError(
                errno.EPROTONOSUPPORT,
                f"the server speaks {reply.version[:32]!r}; 9P2000.L is needed",
                self.name,
            )
        if not MIN_MSIZE <= reply.msize <= wanted:
            raise OSError(
                errno.EPROTO,
                f"the server answered msize {reply.msize} to {wanted};"
                f" {MIN_MSIZE} to {wanted} are possible",
                self.name,
            )
        self.msize = reply.msize
        self._transport.limit_replies(reply.msize)

    @property
    def name(self) -> str:
        """The server, as error messages name it."""
        return self._transport.name

    @property
    def max_io(self) -> int:
        """The most file data, in bytes, that one Tread or Twrite of this session carries."""
        return self.msize - IO_HEADER

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return len(self._in_flight)

    def submit(
        self,
        build: Callable[[Tag], Message],
        expected: type[R],
        *,
        payload: Sequence[Buffer] = (),
        sink: Callable[[Slices], object] | None = None,
        room: int = 0,
        name: str | None = None,
        more: bool = False,
    ) -> Pending[R]:
        """Send the request that ``build`` makes for a tag; ``expected`` is its reply's type.

        ``payload``: the data of a Twrite, as byte buffers that stay unchanged until the reply.
        ``sink``: gets the data of an Rread or Rreaddir, at most ``room`` bytes, as slices that are
        valid only during the call; an ``OSError`` it raises becomes the request's.  It must not
        call the client.  ``name`` is the file, for errors.  ``more`` says that another request
        follows at once, so that the server need not be told yet: one notification for the batch.

        Takes replies while it waits for a free tag or for room.  Raises ``OSError``.
        """
        if self._tags.exhausted:
            self._until(lambda: not self._tags.exhausted, self.timeout, "a free tag")
        tag = Tag(self._tags.take())
        pending = Pending(tag, expected, payload=payload, sink=sink, room=room, name=name)
        try:
            self._start(build(tag), pending)
        except (OSError, ValueError):
            self._tags.give_back(tag)
            raise
        except BaseException as error:
            # Sent or not, nobody knows: a reply to it must never be taken for another's.
            self._break(error)
            raise
        if not more:
            self.flush()
        return pending

    def call(
        self, build: Callable[[Tag], Message], expected: type[R], name: str | None = None
    ) -> R:
        """``submit`` and ``wait``."""
        return self.wait(self.submit(build, expected, name=name, more=True))

    def wait(self, pending: Pending[R], timeout: float | None = None) -> R:
        """The reply to ``pending``; the replies to others that come before it are noted as well.

        Raises ``OSError``: the operation's own, or ETIMEDOUT after ``timeout`` seconds (default:
        the session's), when the request has been flushed and had no effect that we know of.
        On ``KeyboardInterrupt`` the request is flushed too.
        """
        if not pending.done:
            seconds = self.timeout if timeout is None else timeout
            try:
                in_time = self._run(pending, seconds)
            except KeyboardInterrupt:
                self.cancel(pending)
                raise
            if not in_time:
                self.cancel(pending)
                if pending.error is not None and pending.error.errno == errno.ECANCELED:
                    raise TimeoutError(
                        errno.ETIMEDOUT,
                        f"no answer within {seconds:g} s",
                        pending.name or self.name,
                    )
        return pending.result()

    def cancel(self, *pendings: Pending[Any]) -> None:
        """Flush requests.  Afterwards no sink of theirs is called and no payload of theirs is read.

        A request that was answered before its flush keeps its answer, the others get ECANCELED.
        Raises no ``OSError``, so that it can clean up after one; a server that does not answer a
        flush within ``FLUSH_TIMEOUT`` seconds ends the client.
        """
        try:
            self._flush_all(pendings)
        except OSError as error:
            self._break(error)
        except BaseException as error:
            self._break(error)
            raise

    def _flush_all(self, pendings: Sequence[Pending[Any]]) -> None:
        flushed = []
        for pending in pendings:
            if pending.done or pending.flushing:
                continue
            pending.flushing = True
            # Each tag has its own flush tag, so a flush never waits for a free one.
            flush = Pending(Tag(MAX_IN_FLIGHT + pending.tag % MAX_IN_FLIGHT), Rflush)
            self._start(Tflush(flush.tag, pending.tag), flush)
            flushed.append((pending, flush))
        for pending, flush in flushed:
            if not self._run(flush, FLUSH_TIMEOUT):
                raise TimeoutError(errno.ETIMEDOUT, "the server does not answer a flush", self.name)
            if not pending.done:
                del self._in_flight[pending.tag]
                pending.settle(None, OSError(errno.ECANCELED, os.strerror(errno.ECANCELED)))
            # Only now may the tag be used again, flush(5).
            self._release(pending.tag)

    def flush(self) -> None:
        """Tell the server of what was submitted with ``more``; ``wait`` does it by itself."""
        try:
            self._transport.flush()
        except BaseException as error:
            self._break(error)
            raise

    def close(self) -> None:
        """Drop the connection; the server forgets the session's fids.  Idempotent."""
        self._break(ConnectionAbortedError(errno.ECONNABORTED, "the client is closed", self.name))
        self._transport.close()

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _start(self, request: Message, pending: Pending[Any]) -> None:
        """Send a request whose tag is ``pending``'s."""
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
            self._until(lambda: self._try_send(tag, frame, payload), self.timeout, "room to send")
        # Nothing can be answered before the next receive, so there is time to register.
        self._in_flight[tag] = pending

    def _try_send(self, tag: int, frame: bytes, payload: Sequence[Buffer]) -> bool:
        if self._broken is not None:
            raise _again(self._broken)
        try:
            return self._transport.try_send(tag, frame, payload)
        except BaseException as error:
            self._break(error)
            raise

    def _run(self, pending: Pending[Any], seconds: float) -> bool:
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

    def _until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Take replies until ``ready()``.  Raises ``OSError`` (ETIMEDOUT)."""
        deadline = monotonic() + seconds
        self.flush()
        while not ready():
            if self._receive():
                continue
            now = monotonic()
            if now >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"no {what} within {seconds:g} s", self.name)
            self.flush()
            self._wait(deadline - now)

    def _wait(self, seconds: float) -> None:
        try:
            self._transport.wait(seconds)
        except OSError as error:  # an interrupted wait, on the other hand, has lost nothing
            self._break(error)
            raise

    def _receive(self) -> int:
        if self._broken is not None:
            raise _again(self._broken)
        try:
            return self._transport.receive(self._deliver)
        except BaseException as error:
            # Also for KeyboardInterrupt: a reply may be half taken, so the stream is lost.
            self._break(error)
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
            self._release(pending.tag)

    def _place(self, pending: Pending[Any], payload: Slices) -> OSError | None:
        """Give a reply's data to its sink; the local failure to take them is the request's."""
        if sum(map(len, payload)) > pending.room or pending.sink is None:
            raise self._protocol_error(f"more data than the {pending.room} bytes asked for")
        try:
            pending.sink(payload)
        except OSError as error:
            return error
        return None

    def _release(self, tag: Tag) -> None:
        if tag < MAX_IN_FLIGHT:
            self._tags.give_back(tag)

    def _protocol_error(self, what: str) -> OSError:
        return OSError(errno.EPROTO, f"the server broke the protocol: {what}", self.name)

    def _break(self, cause: BaseException) -> None:
        """End the client: everything in flight fails with ``cause``, and so does what follows."""
        if self._broken is not None:
            return
        if isinstance(cause, OSError):
            self._broken = cause
        else:
            self._broken = ConnectionAbortedError(
                errno.ECONNABORTED, f"interrupted ({type(cause).__name__})", self.name
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
