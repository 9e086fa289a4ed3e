"""An open channel: ``files.File``, of which offsets mean nothing."""

from __future__ import annotations

import errno
import select
from struct import Struct
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from backend.fileserver.files import OpenNote
from backend.fileserver.parked import MustWait
from backend.fileserver.streams import AsksOn, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from backend.channel.channel import Channel
    from backend.channel.client import Client
    from backend.channel.sending import SendRecord
    from protocol.ninep.messages import Dirent

_T = TypeVar("_T")

LATE_BYTES: Final = 60 * 1024
"""What one request that has to wait carries at most: a guest may have 64 of them, and what waits
is copied.  The rest of a Twrite comes again, as after any short write."""


KEPT: Final = Struct("<QQQQ")
"""Of short reads, offset, count and done; and how many bytes were answered and may not have been
taken: a word of its own, at ``ANSWERED_AT``."""
ANSWERED_AT: Final = 24

_HUNG_UP, _PERHAPS, LET_GO = 8, 16, 32
"""Of a file that a journal keeps, beside its directions; of the last, the channel has another
client, or none."""


class LateSend(MustWait[int]):
    """A write that has to wait."""

    def __init__(
        self, kept: bytes, attempt: Callable[[], int | None], release: Callable[[], None]
    ) -> None:
        """``kept`` is what it is to send."""
        super().__init__(attempt, release)
        self.kept: Final = kept
        self.record: SendRecord | None = None
        """Where it is written down, then."""


class ChannelFile(Stream):
    """One or both directions of a channel's client.

    Requests that wait are answered in order of arrival, and nobody overtakes them.
    """

    def __init__(self, channel: Channel, client: Client, directions: int) -> None:
        super().__init__()
        self.writable: Final = bool(directions & select.EPOLLOUT)
        self._channel: Final = channel
        self._client: Final = client
        self.directions: Final = directions
        """Which of the client's: ``EPOLLIN``, ``EPOLLOUT``."""
        self._open = True
        self.record: SendRecord | None = None
        """Where the next send is written down."""
        self.changed()

    @property
    def client(self) -> Client:
        """Whose directions these are."""
        return self._client

    @property
    def reads(self) -> bool:
        """Whether it has the client's bytes."""
        return bool(self.directions & select.EPOLLIN)

    @property
    def is_open(self) -> bool:
        """Whether a fid has it still."""
        return self._open

    def changed(self) -> None:
        """It is not what it was, for whoever keeps account of it."""
        if self._channel.changed is not None:
            self._channel.changed.add(self)

    def fileno(self) -> int:
        return self._client.fileno()

    def read(self, buffers: Sequence[memoryview], offset: int) -> int:
        """What the client has sent, as much as fits; 0 after its end.

        Raises ``MustWait`` where it has sent nothing, ``OSError`` EBADF.
        """
        self._check(select.EPOLLIN)
        count = sum(map(len, buffers))
        goes_on = self.short_reads.goes_on(offset, count)
        if not count:
            return 0
        client = self._client
        done = None if client.waiting(select.EPOLLIN) else client.receive(buffers)
        self.changed()
        if done is None:
            if goes_on:
                return 0
            raise self._wait_to_read(offset, count)
        self.short_reads.answered(offset, count, done)
        return done

    def write(self, buffers: Sequence[memoryview], offset: int) -> int:  # noqa: ARG002 -- File's
        """Send as much as the client's socket has room for, at least a byte.

        Raises ``MustWait`` where it has none, ``OSError``: EBADF, EPIPE after the client's end.
        """
        self._check(select.EPOLLOUT)
        if not any(map(len, buffers)):
            return 0
        client = self._client
        try:
            done = None if client.waiting(select.EPOLLOUT) else client.send(buffers, self.record)
        except OSError:
            self.changed()
            raise
        if done is None:
            raise self._wait_to_write(buffers)
        return done

    def _wait_to_read(self, offset: int, count: int) -> MustWait[bytes]:
        def attempt() -> bytes | None:
            self._check(select.EPOLLIN)
            buffer = bytearray(min(count, LATE_BYTES))
            done = self._client.receive([buffer])
            if done is None:
                return None
            self.changed()
            self.short_reads.answered(offset, count, done)
            return bytes(buffer[:done])

        return self._wait(select.EPOLLIN, attempt)

    def _wait_to_write(self, buffers: Sequence[memoryview]) -> LateSend:
        # The ring's room is given back to the guest now, and with it whatever lies there.
        kept = b"".join(buffer[:LATE_BYTES] for buffer in buffers)[:LATE_BYTES]

        def attempt() -> int | None:
            self._check(select.EPOLLOUT)
            return self._client.send([kept], wait.record)

        self._client.wait(select.EPOLLOUT)
        wait = LateSend(kept, attempt, lambda: self._client.wait_no_more(select.EPOLLOUT))
        return wait

    def _wait(self, direction: int, attempt: Callable[[], _T | None]) -> MustWait[_T]:
        self._client.wait(direction)
        return MustWait(attempt, lambda: self._client.wait_no_more(direction))

    def _check(self, direction: int) -> None:
        if not (self._open and self.directions & direction):
            raise OSError(errno.EBADF, "the channel is not open for this")

    def entries(self, cookie: int) -> Iterable[Dirent]:
        raise OSError(errno.ENOTDIR, f"no directory, so no entries after {cookie}")

    def pack_entries(self, cookie: int, room: int) -> bytes:  # noqa: ARG002 -- File's
        raise OSError(errno.ENOTDIR, f"no directory, so no entries after {cookie}")

    def pin(self) -> NoReturn:
        """As fsync(2) of a socket."""
        raise OSError(errno.EINVAL, "a channel has nothing to sync")

    def note(self) -> OpenNote | None:
        asks_on = _PERHAPS if self.short_reads.asks_on is AsksOn.PERHAPS else 0
        hung_up = _HUNG_UP if self._client.hung_up else 0
        let_go = LET_GO if self._client.closed else 0
        offset, count, done = self.short_reads.kept
        data = KEPT.pack(offset + 1, count, done, 0)
        return OpenNote(self.directions | asks_on | hung_up | let_go, data=data)

    @classmethod
    def adopted(cls, channel: Channel, client: Client, note: OpenNote) -> ChannelFile:
        """As another process had it.  Raises ``ValueError``."""
        if len(note.data) != KEPT.size:
            raise ValueError("no channel's file")
        file = cls(channel, client, note.flags & (select.EPOLLIN | select.EPOLLOUT))
        offset, count, done, _ = KEPT.unpack(note.data)
        file.short_reads.restore(offset - 1, count, done)
        if note.flags & _PERHAPS:
            file.short_reads.asks_on = AsksOn.PERHAPS
        client.hung_up |= bool(note.flags & _HUNG_UP)
        return file

    def close(self) -> None:
        if self._open:
            self._open = False
            self._channel.closed(self)

    def closing(self) -> None:
        """A hang-up does not wait."""

    def discard(self) -> None:
        self.close()
