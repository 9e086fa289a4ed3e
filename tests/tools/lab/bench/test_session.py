from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest

from frontend_stub.socket_transport import SocketTransport
from protocol.ninep.codec import encode
from protocol.ninep.directory import encode_stat
from protocol.ninep.ids import Tag
from protocol.ninep.messages import (
    Qid,
    Rattach,
    Rclunk,
    Rerror,
    Ropen,
    Rread,
    Rstat,
    Rversion,
    Rwalk,
    Stat,
)
from tests.frontend_stub.peer import Peer, Script
from tools.lab.bench.requests import Requests
from tools.lab.bench.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

TAG = Tag(0)
QID = Qid(0, 0, 1)
STAT = Stat(0, 0, QID, 0o644, 0, 0, 5, b"name", b"", b"", b"", b"", 0, 0, 0)


def against(play: Callable[[Peer], None], ask: Callable[[Requests], object]) -> None:
    """Have a server that attaches ``play``, and ask it something."""

    def script(peer: Peer) -> None:
        peer.greet()
        peer.receive()
        peer.send(Rattach(TAG, QID))
        play(peer)

    ours, theirs = socket.socketpair()
    with (
        theirs,
        Script(Peer(theirs), script),
        Session(SocketTransport(ours, "peer")) as session,
    ):
        ask(Requests(session))


def walked(peer: Peer, names: int) -> None:
    peer.receive()
    peer.send(Rwalk(TAG, (QID,) * names))


def miscounted(whole: bytes, *places: int) -> bytes:
    """The same bytes, with what they count ten too much at ``places``."""
    changed = bytearray(whole)
    for at in places:
        changed[at] += 10
    return bytes(changed)


def test_a_stat_whose_bytes_are_counted_wrongly_is_an_answer_as_for_linux() -> None:
    def play(peer: Peer) -> None:
        walked(peer, 2)
        peer.receive()
        peer.socket.sendall(miscounted(encode(Rstat(TAG, STAT)), 7, 9))
        peer.receive()
        peer.send(Rclunk(TAG))

    against(play, lambda requests: requests.stat(b"name"))


def test_a_directory_whose_entries_are_counted_wrongly_cannot_be_listed() -> None:
    def play(peer: Peer) -> None:
        walked(peer, 1)
        peer.receive()
        peer.send(Ropen(TAG, QID, 0))
        peer.receive()
        data = miscounted(encode_stat(STAT), 0) + bytes(10)
        peer.send(Rread(TAG, len(data)), data)

    with pytest.raises(OSError, match="of a directory") as caught:
        against(play, lambda requests: requests.list())
    assert caught.value.errno == errno.EPROTO


def test_a_refusal_is_the_server_s_errno_and_the_next_request_takes_another_fid() -> None:
    fids = []

    def play(peer: Peer) -> None:
        for _ in range(2):
            fids.append(peer.receive())
            peer.send(Rerror(TAG, b"no", errno.EPERM))

    def ask(requests: Requests) -> None:
        for _ in range(2):
            with pytest.raises(PermissionError):
                requests.walk(b"name")

    against(play, ask)
    one, two = fids
    assert one != two


def test_a_server_of_another_dialect_is_none() -> None:
    def script(peer: Peer) -> None:
        peer.receive()
        peer.send(Rversion(Tag(0xFFFF), 8192, b"unknown"))

    ours, theirs = socket.socketpair()
    with (
        theirs,
        Script(Peer(theirs), script),
        pytest.raises(OSError, match="unknown"),
    ):
        Session(SocketTransport(ours, "peer"))
