"""Record locks: what is asked, and what is made of each answer, also of other servers'."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from frontend_stub.client import Client
from frontend_stub.file import File
from frontend_stub.locks import Lock
from frontend_stub.socket_transport import SocketTransport
from protocol.ninep.flags import (
    LOCK_BLOCKED,
    LOCK_ERROR,
    LOCK_FLAGS_BLOCK,
    LOCK_GRACE,
    LOCK_SUCCESS,
    LOCK_TYPE_RDLCK,
    LOCK_TYPE_UNLCK,
    LOCK_TYPE_WRLCK,
)
from protocol.ninep.ids import Fid
from protocol.ninep.messages import Qid, Rclunk, Rgetlock, Rlock, Tclunk, Tgetlock, Tlock
from tests.frontend_stub.peer import Peer, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from frontend_stub.share import Share

pytestmark = pytest.mark.usefixtures("leak_free")

HERE = (os.getpid(), os.uname().nodename.encode())


@contextmanager
def opened(play: Callable[[Peer], object]) -> Iterator[File]:
    """An open file, fid 7, of a server that plays."""
    ours, theirs = socket.socketpair()

    def script(peer: Peer) -> None:
        peer.greet()
        play(peer)
        clunk = peer.receive()
        assert isinstance(clunk, Tclunk)
        peer.send(Rclunk(clunk.tag))

    with (
        theirs,
        Script(Peer(theirs), script),
        Client.connect(SocketTransport(ours, "peer"), timeout=20.0) as client,
        File(client, Fid(client.fids.take()), "file", Qid(0, 0, 1), 0) as file,
    ):
        yield file


def answer(peer: Peer, status: int, *expected: int) -> None:
    request = peer.receive()
    assert isinstance(request, Tlock)
    assert request[1:] == (0, *expected, *HERE)
    peer.send(Rlock(request.tag, status))


def test_a_lock_is_asked_for_with_its_range_and_given_back() -> None:
    def play(peer: Peer) -> None:
        answer(peer, LOCK_SUCCESS, LOCK_TYPE_WRLCK, 0, 0, 0)
        answer(peer, LOCK_SUCCESS, LOCK_TYPE_RDLCK, 0, 5, 10)
        answer(peer, LOCK_SUCCESS, LOCK_TYPE_UNLCK, 0, 6, 1)

    with opened(play) as file:
        assert file.lock()
        assert file.lock(5, 10, shared=True)
        file.unlock(6, 1)


def test_one_that_is_taken_is_not_waited_for_unless_asked() -> None:
    def play(peer: Peer) -> None:
        answer(peer, LOCK_BLOCKED, LOCK_TYPE_WRLCK, 0, 0, 0)
        answer(peer, LOCK_BLOCKED, LOCK_TYPE_WRLCK, LOCK_FLAGS_BLOCK, 0, 0)
        answer(peer, LOCK_SUCCESS, LOCK_TYPE_WRLCK, LOCK_FLAGS_BLOCK, 0, 0)

    with opened(play) as file:
        assert not file.lock()
        assert file.lock(wait=True)


@pytest.mark.parametrize("status", [LOCK_ERROR, LOCK_GRACE, 77])
def test_any_other_answer_is_enolck(status: int) -> None:
    with (
        opened(lambda peer: answer(peer, status, LOCK_TYPE_WRLCK, 0, 0, 0)) as file,
        pytest.raises(OSError, match="file") as caught,
    ):
        file.lock()
    assert caught.value.errno == errno.ENOLCK


@pytest.mark.parametrize(
    ("kind", "lock"),
    [
        (LOCK_TYPE_UNLCK, None),
        (LOCK_TYPE_RDLCK, Lock(shared=True, start=3, length=0, proc_id=9, client_id=b"x")),
        (LOCK_TYPE_WRLCK, Lock(shared=False, start=3, length=0, proc_id=9, client_id=b"x")),
    ],
)
def test_the_lock_in_the_way_is_described(kind: int, lock: Lock | None) -> None:
    def play(peer: Peer) -> None:
        request = peer.receive()
        assert isinstance(request, Tgetlock)
        assert request[1:] == (0, LOCK_TYPE_RDLCK, 1, 2, *HERE)
        peer.send(Rgetlock(request.tag, kind, 3, 0, 9, b"x"))

    with opened(play) as file:
        assert file.lock_in_the_way(1, 2, shared=True) == lock


def test_with_diod(share: Share, tree: Path) -> None:
    (tree / "file").touch()
    with share.open("file", os.O_RDWR) as file:
        assert file.lock()
        assert file.lock(wait=True, shared=True)
        assert file.lock_in_the_way() is None
        file.unlock()
