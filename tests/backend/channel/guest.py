"""A guest in this process, with channels, and the programs in Dom0 that connect to them."""

from __future__ import annotations

import itertools
import os
import select
import socket
from typing import TYPE_CHECKING, Any

from backend.channel.listening import listen_all
from backend.channel.tree import ChannelTree
from backend.fileserver.readiness import Readiness
from backend.share import Direction, NamedChannel
from protocol.ninep.codec import encode
from protocol.ninep.flags import DOTL_RDWR
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import Rlerror, Rwalk, Rwrite, Tclunk, Tlopen, Tread, Twalk, Twrite

from ..fileserver.ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.ninep.messages import Message


class Guest(RingPeer):
    """Has the channels ``both``, ``in`` and ``out``; their sockets are in ``sockets``."""

    def __init__(self, export: Path, sockets: Path, version: bytes = b"9P2000.L") -> None:
        channels = (
            NamedChannel("both", str(sockets / "both")),
            NamedChannel("in", str(sockets / "in"), Direction.TO_GUEST),
            NamedChannel("out", str(sockets / "out"), Direction.FROM_GUEST),
        )
        readiness = Readiness()
        super().__init__(
            export,
            order=6,
            wrap=lambda inner: ChannelTree(inner, channels, listen_all(channels), readiness),
            readiness=readiness,
        )
        self.sockets = sockets
        self.fids = map(Fid, itertools.count(10))
        self.tags = map(Tag, itertools.cycle(range(10, 60000)))
        self.mount(version=version)

    def dom0(self, name: str = "both") -> socket.socket:
        """A program of Dom0 that has connected."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        try:
            client.connect(str(self.sockets / name))
        except OSError:
            client.close()
            raise
        return client

    def walk(self, name: bytes = b"both") -> Fid:
        fid = next(self.fids)
        reply = self.call(Twalk(Tag(1), ROOT_FID, fid, (name,)))
        assert isinstance(reply, Rwalk), reply
        return fid

    def send(self, request: Message, payload: bytes = b"") -> None:
        """Have it served, as far as that goes now."""
        self.put(encode(request, len(payload)) + payload)
        self.serve()

    def open(self, flags: int = DOTL_RDWR, name: bytes = b"both") -> tuple[Fid, Tag]:
        """Ask for it; the answer is ``take``n."""
        fid, tag = self.walk(name), next(self.tags)
        self.send(Tlopen(tag, fid, flags))
        return fid, tag

    def opened(self, flags: int = DOTL_RDWR, name: bytes = b"both") -> Fid:
        """Open, with a client that is there."""
        fid, tag = self.open(flags, name)
        assert type(self.answer()).__name__ == "Rlopen"
        del tag
        return fid

    def read(self, fid: Fid, count: int = 4096, offset: int = 0) -> Tag:
        tag = next(self.tags)
        self.send(Tread(tag, fid, offset, count))
        return tag

    def write(self, fid: Fid, data: bytes) -> Tag:
        tag = next(self.tags)
        self.send(Twrite(tag, fid, 0, len(data)), data)
        return tag

    def clunk(self, fid: Fid) -> None:
        assert type(self.call(Tclunk(next(self.tags), fid))).__name__ == "Rclunk"

    def nothing(self) -> bool:
        """Whether nothing is answered, and nothing would wake the worker."""
        return self.take() is None and not self.awake(0) and not self.connection.held()

    def awake(self, seconds: float = 10) -> bool:
        """Wait as the worker does; false when nothing happened."""
        watched = self.connection.watched
        poll = select.poll()
        for fd in watched:
            poll.register(fd, select.POLLIN)
        ready = poll.poll(seconds * 1000)
        for fd, _events in ready:
            watched[fd]()
        return bool(ready)

    def answer_with_data(self) -> tuple[Message, bytes]:
        """The next reply, now or when something has happened."""
        while (found := self.take()) is None:
            assert self.awake(), "nothing happens"
        return found

    def answer(self) -> Message:
        return self.answer_with_data()[0]

    def got(self) -> bytes:
        """Of the next reply, which is an Rread."""
        reply, data = self.answer_with_data()
        assert type(reply).__name__ == "Rread", reply
        return data

    def error(self) -> int:
        reply: Any = self.answer()
        assert isinstance(reply, Rlerror), reply
        return reply.ecode


def full(client: socket.socket) -> int:
    """Send until nothing more is taken; how many bytes."""
    client.setblocking(False)
    sent = 0
    try:
        while True:
            sent += client.send(bytes(os.sysconf("SC_PAGESIZE")))
    except BlockingIOError:
        client.settimeout(10)
        return sent


def fill(guest: Guest, fid: Fid) -> tuple[int, Tag]:
    """Write until the client's socket takes no more; how much it took, and who waits."""
    taken = 0
    while True:
        tag = guest.write(fid, b"x" * 50_000)
        found = guest.take()
        if found is None:
            assert guest.nothing()
            return taken, tag
        assert isinstance(found[0], Rwrite)
        taken += found[0].count
