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
from typing import TYPE_CHECKING, Any, Final, Self

from frontend_stub.exchange import MAX_IN_FLIGHT, Exchange
from frontend_stub.numbers import NumberPool
from frontend_stub.pending import Pending, R
from protocol.ninep.dialects import Dialect
from protocol.ninep.ids import NOTAG, Tag
from protocol.ninep.messages import Rflush, Rversion, Tflush, Tversion

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from frontend_stub.transport import Buffer, Slices, Transport
    from protocol.ninep.messages import Message

MIN_MSIZE: Final = 4096
"""Linux refuses to mount with less."""

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
        self.flush_timeout = FLUSH_TIMEOUT
        self.fids: Final = NumberPool("fids", MAX_FIDS)
        self._exchange = Exchange(transport)

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
        best = self._exchange.transport.max_msize
        wanted = best if msize is None else min(msize, best)
        if wanted < MIN_MSIZE:
            raise OSError(errno.EINVAL, f"an msize of {wanted}: at least {MIN_MSIZE} is needed")
        version = Dialect.DOTL.value
        self._exchange.msize = wanted
        pending = Pending(NOTAG, Rversion)
        self._exchange.start(Tversion(NOTAG, wanted, version), pending, self.timeout)
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
        self._exchange.msize = reply.msize
        self._exchange.transport.limit_replies(reply.msize)

    @property
    def name(self) -> str:
        """The server, as error messages name it."""
        return self._exchange.transport.name

    @property
    def msize(self) -> int:
        """The largest message, in bytes, that the two ends agreed on."""
        return self._exchange.msize

    @property
    def max_io(self) -> int:
        """The most file data, in bytes, that one Tread or Twrite of this session carries."""
        return self.msize - IO_HEADER

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return len(self._exchange)

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
        exchange = self._exchange
        tag = exchange.take_tag(self.timeout)
        pending = Pending(tag, expected, payload=payload, sink=sink, room=room, name=name)
        try:
            exchange.start(build(tag), pending, self.timeout)
        except (OSError, ValueError):
            exchange.release(tag)
            raise
        except BaseException as error:
            # Sent or not, nobody knows: a reply to it must never be taken for another's.
            exchange.fail(error)
            raise
        if not more:
            exchange.flush()
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
                in_time = self._exchange.run(pending, seconds)
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

    def polled(self) -> dict[int, int]:
        """For who waits for other things too: what to poll, for which events (``select.POLL*``).

        When any of it is ready: ``take``.
        """
        return self._exchange.transport.polled()

    def take(self) -> None:
        """Note the replies that have arrived; never waits.  Raises ``OSError``."""
        self._exchange.take()

    def cancel(self, *pendings: Pending[Any]) -> None:
        """Flush requests.  Afterwards no sink of theirs is called and no payload of theirs is read.

        A request that was answered before its flush keeps its answer, the others get ECANCELED.
        Raises no ``OSError``, so that it can clean up after one; a server that does not answer a
        flush within ``flush_timeout`` seconds ends the client.
        """
        try:
            self._flush_all(pendings)
        except OSError as error:
            self._exchange.fail(error)
        except BaseException as error:
            self._exchange.fail(error)
            raise

    def _flush_all(self, pendings: Sequence[Pending[Any]]) -> None:
        flushed = []
        for pending in pendings:
            if pending.done or pending.flushing:
                continue
            pending.flushing = True
            # Each tag has its own flush tag, so a flush never waits for a free one.
            flush = Pending(Tag(MAX_IN_FLIGHT + pending.tag % MAX_IN_FLIGHT), Rflush)
            self._exchange.start(Tflush(flush.tag, pending.tag), flush, self.flush_timeout)
            flushed.append((pending, flush))
        for pending, flush in flushed:
            if not self._exchange.run(flush, self.flush_timeout):
                raise TimeoutError(errno.ETIMEDOUT, "the server does not answer a flush", self.name)
            if not pending.done:
                cancelled = OSError(errno.ECANCELED, os.strerror(errno.ECANCELED), pending.name)
                self._exchange.forget(pending.tag, cancelled)
            # Only now may the tag be used again, flush(5).
            self._exchange.release(pending.tag)

    def flush(self) -> None:
        """Tell the server of what was submitted with ``more``; ``wait`` does it by itself."""
        self._exchange.flush()

    def close(self) -> None:
        """Drop the connection; the server forgets the session's fids.  Idempotent."""
        self._exchange.fail(
            ConnectionAbortedError(errno.ECONNABORTED, "the client is closed", self.name)
        )
        self._exchange.transport.close()

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
