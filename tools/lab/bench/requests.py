"""In the guest: the jobs of ``jobs`` as requests of 9P2000.u, where Linux cannot mount the share.

``python3 -m tools.lab.bench.requests DOMID TAG``; then the console is as ``jobs`` says, and its
``FOLDER`` is not looked at.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from protocol.ninep.directory import decode_stats
from protocol.ninep.errors import ProtocolError
from protocol.ninep.flags import ORCLOSE, ORDWR, OREAD, OWRITE
from protocol.ninep.ids import Fid
from protocol.ninep.messages import (
    Rclunk,
    Rcreate,
    Ropen,
    Rread,
    Rwalk,
    Rwrite,
    Tclunk,
    Tcreate,
    Topen,
    Tread,
    Tstat,
    Twalk,
    Twrite,
)
from protocol.xenpv.ids import Domid
from tools.lab.bench.jobs import FILES, JOBS, LISTED, obey
from tools.lab.bench.session import ROOT, TAG, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.lab.bench.jobs import Job, Prepared, Transfer


class Requests:
    """What the jobs ask of a session."""

    def __init__(self, session: Session) -> None:
        self._session: Final = session
        self._fid = ROOT
        self._buffer: Final = memoryview(bytearray(session.max_io))

    def walk(self, *names: bytes) -> None:
        """Go to what is called so; all that follows is about it, until it is clunked."""
        # A new fid, because one of a request that failed may still be there.
        self._fid = Fid(self._fid + 1)
        found = self._session.call(Twalk(TAG, ROOT, self._fid, names), Rwalk).wqids
        if len(found) != len(names):
            raise FileNotFoundError(b"/".join(names))

    def open(self, mode: int) -> None:
        """Open it."""
        self._session.call(Topen(TAG, self._fid, mode), Ropen)

    def clunk(self) -> None:
        """Forget it."""
        self._session.call(Tclunk(TAG, self._fid), Rclunk)

    def pread(self, size: int, offset: int) -> int:
        """Read that much, as often as it takes; how much was read."""
        session, done = self._session, 0
        while done < size:
            count = min(size - done, session.max_io)
            reply = session.call(
                Tread(TAG, self._fid, offset + done, count), Rread, into=self._buffer
            )
            if not reply.count:
                break
            done += reply.count
        return done

    def pwrite(self, data: memoryview, offset: int) -> int:
        """Write all of it, as often as it takes; how much was written."""
        session, done = self._session, 0
        while done < len(data):
            part = data[done : done + session.max_io]
            request = Twrite(TAG, self._fid, offset + done, len(part))
            done += session.call(request, Rwrite, [part]).count
        return done

    def create(self, name: bytes) -> None:
        """An empty file in the directory ``many``."""
        self.walk(b"many")
        self._session.call(Tcreate(TAG, self._fid, name, 0o644, OWRITE, b""), Rcreate)
        self.clunk()

    def stat(self, name: bytes) -> None:
        """Its attributes."""
        self.walk(b"many", name)
        # xen-9pfsd counts the bytes of a stat wrongly, but Linux and Mini-OS do not look at that.
        assert name in self._session.ask(Tstat(TAG, self._fid))
        self.clunk()

    def unlink(self, name: bytes) -> None:
        """By the way that all have: it is opened, to be removed when that ends."""
        self.walk(b"many", name)
        self.open(OWRITE | ORCLOSE)
        self.clunk()

    def list(self) -> int:
        """How many names the directory ``listed`` has, with their attributes."""
        self.walk(b"listed")
        self.open(OREAD)
        offset, names = 0, set()
        while True:
            request = Tread(TAG, self._fid, offset, self._session.max_io)
            count = self._session.call(request, Rread, into=self._buffer).count
            if not count:
                break
            try:
                names |= {entry.name for entry in decode_stats(bytes(self._buffer[:count]))}
            except ProtocolError as error:
                raise OSError(errno.EPROTO, f"of a directory: {error.reason}") from error
            offset += count
        self.clunk()
        # Some show the directory itself and the one above it as well.
        return len(names - {b".", b".."})


def request_jobs(session: Session) -> dict[str, Job]:
    """The same jobs under the same names."""
    requests = Requests(session)
    acts = {"create": requests.create, "stat": requests.stat, "unlink": requests.unlink}
    found = {}
    for name, job in JOBS.items():
        if job.transfer:
            prepared = _transfer(requests, job.transfer)
        elif name in acts:
            prepared = _with_files(acts[name])
        else:
            prepared = _list(requests)
        found[name] = job._replace(prepared=prepared)
    return found


def _transfer(requests: Requests, transfer: Transfer) -> Prepared:
    @contextmanager
    def prepared(folder: str, turn: int) -> Iterator[Callable[[], None]]:
        del folder
        size = transfer.size
        data = memoryview(os.urandom(size))
        requests.walk(b"data")
        requests.open(ORDWR)

        def body() -> None:
            if transfer.write:
                for offset in transfer.offsets(turn):
                    assert requests.pwrite(data, offset) == size
            else:
                for offset in transfer.offsets(turn):
                    assert requests.pread(size, offset) == size

        try:
            yield body
        finally:
            requests.clunk()

    return prepared


def _with_files(act: Callable[[bytes], None]) -> Prepared:
    @contextmanager
    def prepared(folder: str, turn: int) -> Iterator[Callable[[], None]]:
        del folder
        names = [b"%d-%d" % (turn, number) for number in range(FILES)]

        def body() -> None:
            for name in names:
                act(name)

        yield body

    return prepared


def _list(requests: Requests) -> Prepared:
    @contextmanager
    def prepared(folder: str, turn: int) -> Iterator[Callable[[], None]]:
        del folder, turn

        def body() -> None:
            assert requests.list() == LISTED

        yield body

    return prepared


if __name__ == "__main__":
    with Session.connect(Domid(int(sys.argv[1])), sys.argv[2]) as connected:
        obey(request_jobs(connected))
