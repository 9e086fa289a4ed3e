"""A guest that opens without end, floods, never reads, and a client in Dom0 that does the same."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.parked import MAX_PARKED
from protocol.ninep.codec import decode_frame, encode
from protocol.ninep.flags import DOTL_RDWR
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import (
    Rclunk,
    Rgetattr,
    Rlerror,
    Rlopen,
    Rread,
    Rwalk,
    Tclunk,
    Tgetattr,
    Tlopen,
    Tread,
    Twalk,
    Twrite,
)

from .conftest import HOSTILE
from .raw_frontend import ROOT, RawFrontend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.testbed import Testbed

DEADLINE = 30.0
PIECE = b"x" * 4000


@pytest.fixture
def guest(bed: Testbed, export: Path) -> Iterator[RawFrontend]:
    bed.attach(HOSTILE, "--path", str(export), "--channel", "qmp")
    with RawFrontend(bed.hypervisor.platform(HOSTILE), HOSTILE, order=3) as guest:
        yield guest.mount()


def client(bed: Testbed) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(DEADLINE)
    connection.connect(str(bed.dir / "run" / str(HOSTILE) / "qmp"))
    return connection


def walk(guest: RawFrontend, fid: int) -> Fid:
    assert isinstance(guest.call(Twalk(Tag(1), ROOT, Fid(fid), (b"qmp",))), Rwalk)
    return Fid(fid)


def is_served(guest: RawFrontend) -> bool:
    """Files go on, on the other ring."""
    return isinstance(guest.call(Tgetattr(Tag(9), ROOT, 0x7FF), 1), Rgetattr)


def test_a_thousand_opens(bed: Testbed, guest: RawFrontend) -> None:
    for number in range(1000):
        fid = walk(guest, 1000 + number)
        guest.send(encode(Tlopen(Tag(100 + number), fid, DOTL_RDWR)))
        if number >= MAX_PARKED:
            assert isinstance(decode_frame(guest.receive()), Rlerror)
    assert is_served(guest)
    with client(bed) as served:
        assert isinstance(decode_frame(guest.receive()), Rlopen)
        guest.send(encode(Twrite(Tag(1), Fid(1000), 0, 5), 5) + b"hello")
        assert served.recv(100) == b"hello"
    assert bed.device(HOSTILE)["unforeseen"] == 0


def test_nobody_reads_anything(bed: Testbed, guest: RawFrontend) -> None:
    with client(bed) as served:
        fid = walk(guest, 5)
        assert isinstance(guest.call(Tlopen(Tag(2), fid, DOTL_RDWR)), Rlopen)
        served.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                served.send(PIECE)
        frame = encode(Twrite(Tag(100), fid, 0, len(PIECE)), len(PIECE)) + PIECE
        # Until the ring is full: its replies are not read either.
        for _ in range(2000):
            if guest.rings[0].requests.free() < len(frame):
                break
            guest.send(frame)
            assert is_served(guest)
        assert is_served(guest)
    assert bed.device(HOSTILE)["unforeseen"] == 0


def test_clients_without_end(bed: Testbed, guest: RawFrontend) -> None:
    for number in range(300):
        with client(bed) as served:
            fid = walk(guest, 5)
            assert isinstance(guest.call(Tlopen(Tag(2), fid, DOTL_RDWR)), Rlopen)
            guest.send(encode(Tread(Tag(3), fid, 0, 100)))
            if number % 3:
                served.send(b"x")
        assert isinstance(decode_frame(guest.receive()), Rread)
        assert isinstance(guest.call(Tclunk(Tag(4), fid)), Rclunk)
    assert is_served(guest)
    assert bed.device(HOSTILE)["unforeseen"] == 0
