"""Kinds of 9P clients: Linux, which asks on after a short read, others, and 9P2000.u."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from protocol.ninep.flags import (
    DOTL_NONBLOCK,
    DOTL_RDWR,
    OREAD,
)
from protocol.ninep.ids import Tag
from protocol.ninep.messages import (
    Ropen,
    Rread,
    Topen,
)

from .guest import Guest

if TYPE_CHECKING:
    from pathlib import Path


class TestLinux:
    """Its read(2) asks on after a short read, which must not wait."""

    @pytest.mark.parametrize(("buffer", "second"), [(4096, 4094), (1 << 20, 1 << 20)])
    def test_cat_gets_what_there_is(self, guest: Guest, buffer: int, second: int) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            guest.read(fid, buffer)
            client.send(b"ab")
            assert guest.got() == b"ab"
            guest.read(fid, second, 2)
            assert guest.got() == b""  # so that read(2) returns 2
            tag = guest.read(fid, buffer, 2)
            assert guest.nothing()
            client.send(b"cd")
            assert guest.answer_with_data() == (Rread(tag, 2), b"cd")

    def test_asking_on_gets_what_has_come_meanwhile(self, guest: Guest) -> None:
        with guest.dom0() as client:
            fid = guest.opened()
            client.send(b"ab")
            guest.read(fid, 100)
            client.send(b"cd")
            guest.read(fid, 98, 2)
            assert (guest.got(), guest.got()) == (b"ab", b"cd")

    @pytest.mark.parametrize(("flags", "offset"), [(DOTL_RDWR | DOTL_NONBLOCK, 2), (DOTL_RDWR, 0)])
    def test_a_client_that_takes_short_reads_is_not_told_the_end(
        self, guest: Guest, flags: int, offset: int
    ) -> None:
        with guest.dom0() as client:
            fid = guest.opened(flags)
            client.send(b"ab")
            guest.read(fid, 100)
            assert guest.got() == b"ab"
            guest.read(fid, 100, offset)
            assert guest.nothing()
            client.send(b"cd")
            assert guest.got() == b"cd"


def test_9p2000_u(export: Path, sockets: Path) -> None:
    guest = Guest(export, sockets, b"9P2000.u")
    fid = guest.walk()
    guest.send(Topen(Tag(5), fid, 2))
    assert guest.nothing()
    with guest.dom0() as client:
        assert isinstance(guest.answer(), Ropen)
        tag = guest.read(fid, 100)
        guest.write(fid, b"greeting")
        guest.answer()
        assert client.recv(100) == b"greeting"
        client.send(b"answer")
        assert guest.answer_with_data() == (Rread(tag, 6), b"answer")
        guest.read(fid, 94, 6)
        assert guest.got() == b""
        removed = guest.walk()
        guest.send(Topen(Tag(5), removed, OREAD | 64))
        assert type(guest.answer()).__name__ == "Rerror"
        guest.clunk(fid)
        guest.awake(0)
    with guest.dom0():
        assert guest.nothing(), "nobody waits for a client"
    assert guest.connection.counters.unforeseen == 0
    guest.close()
