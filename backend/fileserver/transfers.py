"""File data between a lane and a file, in place: Tread, Twrite and Treaddir."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from backend.fileserver import directories, io
from backend.fileserver.parked import MustWait, Payload
from protocol.ninep.codec import FIXED_SIZE, encode
from protocol.ninep.messages import TYPE_NUMBERS, Rread, Rreaddir, Rwrite, Twrite
from protocol.ninep.unchecked import unchecked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend.fileserver.carrying import Carrying
    from backend.fileserver.counters import Counters
    from backend.fileserver.lane import Lane
    from backend.fileserver.parked import Parked
    from backend.fileserver.session import Session
    from backend.trace import TraceWriter
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Tread, Treaddir

WRITE_HEAD: Final = FIXED_SIZE[TYPE_NUMBERS[Twrite]]
READ_HEAD: Final = FIXED_SIZE[TYPE_NUMBERS[Rread]]
"""Bytes of a message before its data."""


class NoRoom(Exception):  # noqa: N818 -- not an error: the request is served when there is room
    """The reply may need more room than its lane has now."""


class Transfers:
    """What one session's client reads and writes."""

    def __init__(
        self,
        session: Session,
        counters: Counters,
        trace: TraceWriter | None,
        wait: Callable[[Lane, Tag, Parked], bytes | None],
        carrying: Carrying | None,
    ) -> None:
        """``wait`` keeps a request that is answered later; the others are as ``Connection``'s."""
        self._session: Final = session
        self._counters: Final = counters
        self._trace: Final = trace
        self._wait: Final = wait
        self.carrying = carrying
        self.beside: bytes | None = None
        """The data of a Twrite that lies in no lane."""

    def read(self, lane: Lane, request: Tread) -> None:
        """Tread: from the file into the place of the reply's data.

        Raises ``OSError``, ``NoRoom``, ``RingError``.
        """
        replies = lane.replies
        buffers = replies.slices(READ_HEAD, self._room(lane, request.count))
        try:
            done = io.read(self._session, request, buffers)
        except MustWait as wait:
            self._wait(lane, request.tag, wait.parked(partial(self._read_late, request.tag)))
            return
        head = encode(unchecked(Rread, (request.tag, done)))
        replies.put(0, head)
        self._counters.bytes_read += done
        if self._trace is not None:
            self._trace.reply(replies.slices(0, READ_HEAD + done))
        lane.answered(head, READ_HEAD + done)

    def read_accounted(self, lane: Lane, request: Tread) -> None:
        """As ``read``, of what may be a directory of 9P2000.u.  Raises the same."""
        assert self.carrying is not None  # noqa: S101 -- else nobody comes here
        self.carrying.reading(lane, self._session, request.fid)
        self.read(lane, request)

    def _read_late(self, tag: Tag, data: bytes) -> Payload:
        self._counters.bytes_read += len(data)
        return Payload(Rread(tag, len(data)), data)

    def write(self, lane: Lane, request: Twrite) -> bytes | None:
        """Twrite: from the place of the request's data into the file.  Raises ``OSError``."""
        data: Sequence[memoryview] = lane.requests.slices(WRITE_HEAD, request.count)
        if self.beside is not None:
            data = (memoryview(self.beside),)
        try:
            if self.carrying is None:
                done = io.write(self._session, request, data)
            else:
                done = self.carrying.write(lane, self._session, request, data)
        except MustWait as wait:
            return self._wait(
                lane, request.tag, wait.parked(partial(self._written_late, request.tag))
            )
        return encode(self._written_late(request.tag, done))

    def _written_late(self, tag: Tag, done: int) -> Rwrite:
        self._counters.bytes_written += done
        return unchecked(Rwrite, (tag, done))

    def readdir(self, lane: Lane, request: Treaddir) -> bytes:
        """Treaddir: whole entries, as many as fit.

        Raises ``OSError``, ``NoRoom``, ``RingError``.
        """
        data = directories.readdir(self._session, request, self._room(lane, request.count))
        return encode(Rreaddir(request.tag, len(data))) + data

    def _room(self, lane: Lane, count: int) -> int:
        """``count``, clamped to what a message may hold.  Raises ``NoRoom`` until that fits."""
        most = self._session.msize - READ_HEAD
        if count > most:  # noqa: PLR1730 -- min() is a call
            count = most
        if lane.replies.free() < READ_HEAD + count:
            raise NoRoom
        return count
