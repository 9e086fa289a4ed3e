"""Mini-OS's frontend (``9pfront.c``), byte for byte, against a real worker.

It has one ring, one request at a time, and tag 0 for all of them.  Its messages are packed here by
hand: the project's own codec has no part in this.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import Struct, calcsize, pack, unpack_from
from typing import TYPE_CHECKING, Any, Final

import pytest

from protocol.xenpv.xenbus import XenbusState
from tests.hostile.raw_frontend import RawFrontend

if TYPE_CHECKING:
    from pathlib import Path

    from protocol.xenpv.ports import StoreView
    from tools.testbed import Testbed

GUEST: Final = 5
HEADER: Final = Struct("<IBH")
RERROR: Final = 107
ROOT, FILE = 0, 1
OREAD, OWRITE, ORDWR, OTRUNC = 0, 1, 2, 16
NOT_FOUND: Final = (b"file not found", errno.ENOENT)

VERSION, ATTACH, WALK, OPEN, CREATE, READ, WRITE, CLUNK, STAT = (
    100,
    104,
    110,
    112,
    114,
    116,
    118,
    120,
    124,
)


class RefusedError(Exception):
    """An Rerror: the text and the errno."""


def string(text: bytes) -> bytes:
    return pack("<H", len(text)) + text


class MiniOs:
    """What ``init_9pfront``, ``open_9pfs`` and so on send, and what they make of the answers."""

    def __init__(self, front: RawFrontend, order: int) -> None:
        self.front = front
        self.half = 1 << (order + 12 - 1)  # XEN_FLEX_RING_SIZE
        self.msize = 0

    def handshake(self) -> None:
        front = self.front
        assert front.await_state(XenbusState.INIT_WAIT) is XenbusState.INIT_WAIT
        versions = front.store.read(f"{front.backend}/versions").split(b",")
        assert b"1" in versions
        assert int(front.store.read(f"{front.backend}/max-ring-page-order")) >= 1
        assert front.store.read(f"{front.front}/tag")

        def publish(view: StoreView) -> None:
            for name, value in front.nodes().items():
                view.write(f"{front.front}/{name}", value)
            view.write(f"{front.front}/state", b"3")

        front.store.transact(publish)
        front.await_state(XenbusState.CONNECTED)
        front.say(XenbusState.CONNECTED)

    def rpc(self, kind: int, body: bytes) -> bytes:
        """The reply's body."""
        self.front.send(HEADER.pack(HEADER.size + len(body), kind, 0) + body)
        frame = self.front.receive()
        self.front.notify()
        size, answer, tag = HEADER.unpack_from(frame)
        assert (size, tag) == (len(frame), 0)
        rest = frame[HEADER.size :]
        if answer == RERROR:
            length = unpack_from("<H", rest)[0]
            assert len(rest) == 2 + length + 4
            raise RefusedError(rest[2:-4], unpack_from("<I", rest, 2 + length)[0])
        assert answer == kind + 1
        return rest

    def version(self) -> None:
        asked = self.half // 2
        reply = self.rpc(VERSION, pack("<I", asked) + string(b"9P2000.u"))
        assert reply == pack("<I", asked) + string(b"9P2000.u")
        self.msize = asked

    def attach(self) -> None:
        afid, uid = 0, 0
        body = pack("<II", ROOT, afid) + string(b"root") + string(b"root") + pack("<I", uid)
        assert len(self.rpc(ATTACH, body)) == 13

    def walk(self, fid: int, newfid: int, name: bytes) -> None:
        if name:
            body = pack("<IIH", fid, newfid, 1) + string(name)
            assert len(self.rpc(WALK, body)) == 2 + 13
        else:
            assert self.rpc(WALK, pack("<IIH", fid, newfid, 0)) == b"\0\0"

    def open(self, path: bytes, mode: int, *, create: int | None = None) -> None:
        """``open_9pfs``: as ``FILE``; ``create`` is the third argument of open(2)."""
        *directories, last = path.split(b"/")
        fid = ROOT
        for name in directories:
            self.walk(fid, FILE, name)
            fid = FILE
        try:
            self.walk(fid, FILE, last)
        except RefusedError as refused:
            if create is None or refused.args != NOT_FOUND:
                raise
            body = pack("<I", FILE) + string(last) + pack("<IB", create, mode) + string(b"")
            assert len(self.rpc(CREATE, body)) == 13 + 4
        else:
            assert len(self.rpc(OPEN, pack("<IB", FILE, mode))) == 13 + 4

    def read(self, length: int) -> bytes:
        done = b""
        while len(done) < length:
            count = min(length - len(done), self.msize - 11)
            reply = self.rpc(READ, pack("<IQI", FILE, len(done), count))
            got = unpack_from("<I", reply)[0]
            assert got == len(reply) - 4 <= count
            if not got:
                break
            done += reply[4:]
        return done

    def write(self, data: bytes) -> None:
        done = 0
        while done < len(data):
            part = data[done : done + self.msize - 23]
            reply = self.rpc(WRITE, pack("<IQI", FILE, done, len(part)) + part)
            assert reply == pack("<I", len(part))
            done += len(part)

    def stat(self) -> dict[str, Any]:
        reply = self.rpc(STAT, pack("<I", FILE))
        total, size = unpack_from("<HH", reply)
        assert (total, size) == (len(reply) - 2, len(reply) - 4)
        fixed = "<HIBIQIIIQ"
        fields = unpack_from(fixed, reply, 4)
        at = 4 + calcsize(fixed)
        strings = []
        for _ in range(5):
            length = unpack_from("<H", reply, at)[0]
            strings.append(reply[at + 2 : at + 2 + length])
            at += 2 + length
        assert at + 12 == len(reply)
        names = ("type", "dev", "qtype", "version", "path", "mode", "atime", "mtime", "length")
        return dict(zip(names, fields, strict=True)) | {
            "strings": strings,
            "numbers": unpack_from("<III", reply, at),
        }

    def clunk(self) -> None:
        assert self.rpc(CLUNK, pack("<I", FILE)) == b""

    def shutdown(self) -> None:
        """``shutdown_9pfront``: it insists on Closing, and then waits for nothing more."""
        self.front.say(XenbusState.CLOSING)
        state = self.front.await_state(XenbusState.CLOSING, XenbusState.CLOSED)
        assert state is XenbusState.CLOSING
        self.front.say(XenbusState.CLOSED)
        self.front.await_state(XenbusState.CLOSED)


@pytest.mark.parametrize("order", [4, 1])
def test_from_the_handshake_to_the_shutdown(bed: Testbed, export: Path, order: int) -> None:
    (export / "dir").mkdir()
    (export / "dir/old").write_bytes(b"old content")
    content = os.urandom(3 * (1 << (order + 12)))  # around the ring's end, more than once
    bed.guest(GUEST, export)
    with RawFrontend(bed.hypervisor.platform(GUEST), GUEST, rings=1, order=order) as front:
        guest = MiniOs(front, order)
        guest.handshake()
        guest.version()
        guest.attach()

        guest.open(b"/dir/new", OWRITE | OTRUNC, create=0o640)
        guest.write(content)
        found = guest.stat()
        assert found["length"] == len(content)
        assert found["mode"] == 0o640
        assert found["strings"][0] == b"new"
        guest.clunk()
        assert (export / "dir/new").read_bytes() == content
        assert stat.S_IMODE((export / "dir/new").stat().st_mode) == 0o640

        guest.open(b"/dir/new", OREAD)
        assert guest.read(len(content) + 1) == content
        guest.clunk()

        guest.open(b"/dir/old", ORDWR, create=0o640)
        assert guest.read(100) == b"old content"
        guest.write(b"new")
        guest.clunk()
        assert (export / "dir/old").read_bytes() == b"new content"

        guest.shutdown()


def test_a_missing_file_is_an_error_and_its_clunk_another(bed: Testbed, export: Path) -> None:
    bed.guest(GUEST, export)
    with RawFrontend(bed.hypervisor.platform(GUEST), GUEST, rings=1, order=4) as front:
        guest = MiniOs(front, 4)
        guest.handshake()
        guest.version()
        guest.attach()
        with pytest.raises(RefusedError) as error:
            guest.open(b"/missing", OREAD)
        assert error.value.args == NOT_FOUND
        guest.clunk()  # what close_9pfs does with the fid that came to the root
        with pytest.raises(RefusedError):
            guest.clunk()
        guest.open(b"/made", OWRITE, create=0o600)
        guest.clunk()
        guest.shutdown()
    assert os.listdir(export) == ["made"]
