"""Several writers at once through one device: each has one request in flight, and no error."""

from __future__ import annotations

import itertools
import os
import random
import select
import time
from typing import TYPE_CHECKING, Any, ClassVar

from protocol.ninep import flags as f
from protocol.ninep import messages as m
from protocol.ninep.ids import NOFID, NONUNAME, Fid, Tag
from tests.end_to_end.wire_client import reply_to

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from frontend_stub.client import Client
    from frontend_stub.pending import Pending

    Said = tuple[m.Message, bytes]
    """A request, and the data beside it."""

WRITERS = 8
PIECE = 4000
PATIENCE = 60
"""Seconds without any reply."""

KEPT = 4
"""Files that are left of each writer's."""

TAG = Tag(0)  # replaced
ROOT = Fid(0)
EXCLUSIVE = os.O_RDWR | f.DOTL_EXCL
APPENDING = os.O_WRONLY | f.DOTL_EXCL | f.DOTL_APPEND


class Writer:
    """One of them.  Whatever it does, an error or a difference is a failure."""

    turn: ClassVar[int | None] = None
    """Who has the lock that all want."""

    def __init__(self, number: int, *, attributes: bool) -> None:
        self._name = b"w%d" % number
        self._dice = random.Random(number)
        self._attributes = attributes
        self._directory, self._log, self._file = map(Fid, range(4 * number + 1, 4 * number + 4))
        self._turn = Fid(4 * number + 4)
        self._number = number
        self._appended = b""
        self._files: dict[bytes, bytes] = {}

    def work(self, go_on: Callable[[], bool]) -> Generator[Said, Any, None]:
        """Its requests, one after the other, to which it is sent the replies."""
        name = self._name
        yield m.Tmkdir(TAG, ROOT, name, 0o755, 0), b""
        yield m.Twalk(TAG, ROOT, self._directory, (name,)), b""
        yield m.Twalk(TAG, self._directory, self._log, ()), b""
        yield m.Tlcreate(TAG, self._log, b"log", APPENDING, 0o600, 0), b""
        yield m.Twalk(TAG, ROOT, self._turn, ()), b""
        yield m.Tlcreate(TAG, self._turn, b"turn", os.O_RDWR, 0o600, 0), b""
        for number in itertools.count():
            if not go_on():
                break
            yield from self._append()
            yield from self._create(b"%d" % number)
            yield from self._rename_and_link(b"%d" % number)
            while len(self._files) > KEPT:
                oldest = next(iter(self._files))
                yield m.Tunlinkat(TAG, self._directory, oldest, 0), b""
                del self._files[oldest]
            if self._dice.random() < 0.1:
                yield from self._take_turn()
        for fid in (self._log, self._directory, self._turn):
            yield m.Tclunk(TAG, fid), b""

    def _append(self) -> Generator[Said, Any, None]:
        data = self._dice.randbytes(self._dice.randint(1, PIECE))
        reply = yield m.Twrite(TAG, self._log, 0, len(data)), data
        assert reply.count == len(data)
        self._appended += data

    def _take_turn(self) -> Generator[Said, Any, None]:
        """Lock what all lock, and hold it for a request or two."""
        wait, who = f.LOCK_FLAGS_BLOCK, (self._number, b"guest")
        status = f.LOCK_BLOCKED
        while status == f.LOCK_BLOCKED:
            reply = yield m.Tlock(TAG, self._turn, f.LOCK_TYPE_WRLCK, wait, 0, 0, *who), b""
            status = reply.status
        assert (status, Writer.turn) == (f.LOCK_SUCCESS, None)
        Writer.turn = self._number
        yield from self._append()
        assert Writer.turn == self._number
        Writer.turn = None
        reply = yield m.Tlock(TAG, self._turn, f.LOCK_TYPE_UNLCK, 0, 0, 0, *who), b""
        assert reply.status == f.LOCK_SUCCESS

    def _create(self, name: bytes) -> Generator[Said, Any, None]:
        data = self._dice.randbytes(self._dice.randint(1, PIECE))
        yield m.Twalk(TAG, self._directory, self._file, ()), b""
        yield m.Tlcreate(TAG, self._file, name, EXCLUSIVE, 0o600, 0), b""
        reply = yield m.Twrite(TAG, self._file, 0, len(data)), data
        assert reply.count == len(data)
        if self._dice.random() < 0.1:
            yield m.Tfsync(TAG, self._file, 0), b""
        reply = yield m.Tgetattr(TAG, self._file, f.GETATTR_BASIC), b""
        assert (reply.size, reply.nlink) == (len(data), 1)
        yield m.Tclunk(TAG, self._file), b""
        self._files[name] = data
        if self._attributes and self._dice.random() < 0.5:
            yield from self._set_attribute(name, data[:20])

    def _set_attribute(self, name: bytes, value: bytes) -> Generator[Said, Any, None]:
        yield m.Twalk(TAG, self._directory, self._file, (name,)), b""
        yield m.Txattrcreate(TAG, self._file, b"user.a", len(value), f.XATTR_CREATE), b""
        for at in range(0, len(value), 7):
            piece = value[at : at + 7]
            yield m.Twrite(TAG, self._file, at, len(piece)), piece
        yield m.Tclunk(TAG, self._file), b""

    def _rename_and_link(self, name: bytes) -> Generator[Said, Any, None]:
        directory = self._directory
        yield m.Trenameat(TAG, directory, name, directory, name + b".new"), b""
        self._files[name + b".new"] = self._files.pop(name)
        yield m.Twalk(TAG, directory, self._file, (name + b".new",)), b""
        yield m.Tlink(TAG, directory, self._file, name + b".link"), b""
        yield m.Tsymlink(TAG, directory, name + b".soft", name, 0), b""
        yield m.Tunlinkat(TAG, directory, name + b".soft", 0), b""
        yield m.Tremove(TAG, self._file), b""
        self._files[name + b".link"] = self._files.pop(name + b".new")

    def compare(self, top: Path) -> None:
        """What is there is what it wrote, once."""
        folder = top / os.fsdecode(self._name)
        found = {os.fsencode(path.name): path.read_bytes() for path in folder.iterdir()}
        assert found.pop(b"log") == self._appended
        assert found == self._files


class Flight:
    """One writer's request."""

    def __init__(self, client: Client, requests: Generator[Said, Any, None]) -> None:
        self._client = client
        self._requests = requests
        self.pending: Pending[Any]
        self._since = 0.0
        self.longest = 0.0

    def go_on(self, reply: Any) -> bool:
        """Send the next; false when there is none."""
        now = time.monotonic()
        if reply is not None:
            self.longest = max(self.longest, now - self._since)
        try:
            request, data = self._requests.send(reply)
        except StopIteration:
            return False
        self._since = now
        self.pending = self._client.submit(
            lambda tag: request._replace(tag=tag),
            reply_to(request),
            payload=(data,) if data else (),
            name=repr(request),
        )
        return True


def write_at_once(
    client: Client, top: Path, go_on: Callable[[], bool], *, attributes: bool
) -> float:
    """All writers, until they are not to go on; the longest that one waited for a reply."""
    client.call(lambda tag: m.Tattach(tag, ROOT, NOFID, b"", b"", NONUNAME), m.Rattach)
    writers = [Writer(number, attributes=attributes) for number in range(WRITERS)]
    flights = [Flight(client, writer.work(go_on)) for writer in writers]
    flying = [flight for flight in flights if flight.go_on(None)]
    poll = select.poll()
    for fd, events in client.polled().items():
        poll.register(fd, events)
    while flying:
        client.take()
        if not any(flight.pending.done for flight in flying):
            assert poll.poll(PATIENCE * 1000), "no reply"
            continue
        flying = [
            flight
            for flight in flying
            if not flight.pending.done or flight.go_on(flight.pending.result())
        ]
    for writer in writers:
        writer.compare(top)
    return max(flight.longest for flight in flights)
