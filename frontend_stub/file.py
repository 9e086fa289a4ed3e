"""An open file of a share: positioned reads and writes, fsync, attributes, locks."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, Self

from frontend_stub import locks
from frontend_stub.attributes import Attributes
from frontend_stub.read_ahead import read_into
from frontend_stub.write_behind import WINDOW, cut, write_pieces
from protocol.ninep import flags as f
from protocol.ninep.messages import (
    Rclunk,
    Rfsync,
    Rgetattr,
    Rread,
    Rsetattr,
    Rwrite,
    Tclunk,
    Tfsync,
    Tgetattr,
    Tread,
    Tsetattr,
    Twrite,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from frontend_stub.client import Client
    from frontend_stub.pending import Pending
    from frontend_stub.transport import Buffer, Slices
    from protocol.ninep.ids import Fid
    from protocol.ninep.messages import Qid


class File:
    """A file opened by ``Share.open``.  A context manager: leaving it closes the file.

    >>> with share.open("qemu-save.7", os.O_RDWR | os.O_CREAT) as file:
    ...     file.pwrite(b"state", 0)
    ...     file.fsync()
    ...     file.pread(5, 0)
    b'state'
    """

    def __init__(self, client: Client, fid: Fid, name: str, qid: Qid, iounit: int) -> None:
        self.client: Final = client
        self.name: Final = name
        self.qid: Final = qid
        # iounit 0 leaves it to msize, open(9P).
        self.max_io: Final = min(iounit or client.max_io, client.max_io)
        self._fid: Fid | None = fid

    @property
    def fid(self) -> Fid:
        """The open fid.  Raises ``OSError`` (EBADF) once the file is closed."""
        if self._fid is None:
            raise OSError(errno.EBADF, "the file is closed", self.name)
        return self._fid

    def submit_read(
        self, offset: int, count: int, sink: Callable[[Slices], object], *, more: bool = False
    ) -> Pending[Rread]:
        """Ask for ``count`` bytes (at most ``max_io``) at ``offset``; see ``Client.submit``.

        The reply's ``count`` may be less; 0 is the end of the file.
        """
        fid = self.fid
        return self.client.submit(
            lambda tag: Tread(tag, fid, offset, count),
            Rread,
            sink=sink,
            room=count,
            name=self.name,
            more=more,
        )

    def submit_write(self, offset: int, data: Buffer, *, more: bool = False) -> Pending[Rwrite]:
        """Send ``data`` (bytes, at most ``max_io`` of them) for ``offset``; see ``Client.submit``.

        The reply's ``count`` may be less.
        """
        fid = self.fid
        count = len(data)
        return self.client.submit(
            lambda tag: Twrite(tag, fid, offset, count),
            Rwrite,
            payload=(data,),
            name=self.name,
            more=more,
        )

    def read_into(self, buffer: bytearray | memoryview, offset: int, window: int = WINDOW) -> int:
        """Fill ``buffer`` from ``offset`` on; the number of bytes, less than asked only at the end.

        Large buffers are filled by up to ``window`` requests in flight, without a copy in between.
        """
        view = memoryview(buffer).cast("B")
        return read_into(self, view, offset, window)

    def pread(self, count: int, offset: int) -> bytes:
        """Up to ``count`` bytes from ``offset``; fewer only at the end of the file."""
        buffer = bytearray(count)
        got = self.read_into(buffer, offset)
        return bytes(memoryview(buffer)[:got])

    def pwrite(self, data: Buffer, offset: int, window: int = WINDOW) -> int:
        """Write all of ``data`` at ``offset``; their number.  ``data`` must not change meanwhile.

        Raises ``OSError``; what lies between ``offset`` and the failure is then undefined.
        """
        view = memoryview(data).cast("B")
        return write_pieces(self, cut(view, self.max_io), offset, window)

    def fsync(self, *, datasync: bool = False) -> None:
        """Return when all data (and, unless ``datasync``, all attributes) are on disk."""
        fid = self.fid
        self.client.call(lambda tag: Tfsync(tag, fid, int(datasync)), Rfsync, self.name)

    def truncate(self, size: int) -> None:
        """Make the file ``size`` bytes long."""
        fid = self.fid
        self.client.call(
            lambda tag: Tsetattr(tag, fid, f.SETATTR_SIZE, 0, 0, 0, size, 0, 0, 0, 0),
            Rsetattr,
            self.name,
        )

    def stat(self) -> Attributes:
        """The open file's attributes, also after it was renamed or removed."""
        fid = self.fid
        reply = self.client.call(
            lambda tag: Tgetattr(tag, fid, f.GETATTR_BASIC), Rgetattr, self.name
        )
        return Attributes.of(reply)

    def lock(
        self, start: int = 0, length: int = 0, *, shared: bool = False, wait: bool = False
    ) -> bool:
        """Lock ``length`` bytes (0: all to the end) for this process, against all others.

        ``False`` if somebody else's lock is in the way; with ``wait`` it is waited for.  The lock
        is given back by ``unlock``, by ``close`` and by the end of the client.  Raises ``OSError``:
        ENOLCK when the server has no room for it, EOVERFLOW, EINVAL.
        """
        return locks.lock(self, start, length, shared=shared, wait=wait)

    def unlock(self, start: int = 0, length: int = 0) -> None:
        """Give back what this process has locked of these bytes."""
        locks.unlock(self, start, length)

    def lock_in_the_way(
        self, start: int = 0, length: int = 0, *, shared: bool = False
    ) -> locks.Lock | None:
        """A lock of somebody else that keeps these bytes from being locked, if there is one."""
        return locks.in_the_way(self, start, length, shared=shared)

    def close(self) -> None:
        """Close; idempotent.  Raises ``OSError`` when the server failed to complete the file."""
        if self._fid is None:
            return
        fid, self._fid = self._fid, None
        try:
            self.client.call(lambda tag: Tclunk(tag, fid), Rclunk, self.name)
        finally:
            # The server forgets the fid even when the clunk fails, clunk(5).
            self.client.fids.give_back(fid)

    def __enter__(self) -> Self:
        """The file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; an error of the body goes before one of the close."""
        try:
            self.close()
        except OSError:
            if value is None:
                raise
