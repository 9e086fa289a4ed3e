"""9P2000.u through the pump: which messages it lets in, and what comes out on the rings."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from protocol.ninep.directory import decode_stats
from protocol.ninep.flags import OREAD, OWRITE
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import (
    Rerror,
    Rlerror,
    Rread,
    Rstat,
    Rwstat,
    Tcreate,
    Tfsync,
    Tgetattr,
    Tlopen,
    Topen,
    Tread,
    Tstat,
    Twalk,
    Twstat,
)
from tests.backend.fileserver.dotu_client import UNTOUCHED
from tests.backend.fileserver.ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from protocol.ninep.messages import Request

FILE = Fid(7)
STAT = Tstat(Tag(9), ROOT_FID)
DOTU, DOTL = b"9P2000.u", b"9P2000.L"


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[RingPeer]:
    peer = RingPeer(tmp_path)
    yield peer
    peer.close()


@pytest.mark.parametrize(
    "request_",
    [Tgetattr(Tag(9), ROOT_FID, 0x17FF), Tlopen(Tag(9), ROOT_FID, 0), Tfsync(Tag(9), ROOT_FID, 0)],
)
def test_what_only_9p2000_l_has_is_not_served(peer: RingPeer, request_: Request) -> None:
    peer.mount(version=DOTU)
    assert peer.call(request_) == Rerror(Tag(9), b"not supported", errno.EOPNOTSUPP)
    assert isinstance(peer.call(STAT), Rstat)


@pytest.mark.parametrize("request_", [STAT, Topen(Tag(9), ROOT_FID, OREAD)])
def test_nor_the_other_way_round(peer: RingPeer, request_: Request) -> None:
    peer.mount(version=DOTL)
    assert peer.call(request_) == Rlerror(Tag(9), errno.EOPNOTSUPP)


def test_each_session_chooses_anew(peer: RingPeer) -> None:
    for version in (DOTU, DOTL, DOTU):
        peer.mount(version=version)
    assert isinstance(peer.call(STAT), Rstat)


def test_errors_come_in_words(peer: RingPeer) -> None:
    peer.mount(version=DOTU)
    reply = peer.call(Twalk(Tag(2), ROOT_FID, FILE, (b"missing",)))
    assert reply == Rerror(Tag(2), b"file not found", errno.ENOENT)


@pytest.mark.parametrize("count", [7000, 0xFFFF_FFFF])
def test_a_directorys_stats_go_across_the_rings_end(
    peer: RingPeer, tmp_path: Path, count: int
) -> None:
    names = {b"%03d" % number + b"x" * (number % 97) for number in range(300)}
    for name in names:
        (tmp_path / name.decode()).touch()
    peer.mount(version=DOTU)
    peer.call(Twalk(Tag(1), ROOT_FID, FILE, ()))
    peer.call(Topen(Tag(1), FILE, OREAD))
    for _ in range(3):
        found, offset = set(), 0
        while data := read(peer, offset, count):
            found |= {entry.name for entry in decode_stats(data)}
            offset += len(data)
        assert found == names


def read(peer: RingPeer, offset: int, count: int) -> bytes:
    reply, data = peer.call_with_data(Tread(Tag(3), FILE, offset, count))
    assert reply == Rread(Tag(3), len(data))
    return data


def test_an_fsync_by_twstat_is_answered_when_it_is_done(peer: RingPeer) -> None:
    peer.mount(version=DOTU)
    peer.call(Twalk(Tag(1), ROOT_FID, FILE, ()))
    peer.call(Tcreate(Tag(1), FILE, b"f", 0o644, OWRITE, b""))
    assert peer.call(Twstat(Tag(3), FILE, UNTOUCHED)) == Rwstat(Tag(3))
