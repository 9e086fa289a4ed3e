"""Operations that wait for a disk: what goes on meanwhile, and what becomes of them."""

from __future__ import annotations

import errno
import select
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.policies.sync_on_close import SyncOnCloseTree
from protocol.ninep.codec import encode
from protocol.ninep.ids import NOTAG, Fid, Tag
from protocol.ninep.messages import (
    Message,
    Rclunk,
    Rgetattr,
    Rlerror,
    Rversion,
    Tclunk,
    Tgetattr,
    Tversion,
)

from .disk import WatchedDisk
from .ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = Fid(7)
CLUNK = Tclunk(Tag(3), FILE)
ALL = ["file", "directory"]


@pytest.fixture
def disk() -> WatchedDisk:
    return WatchedDisk()


@pytest.fixture
def peer(tmp_path: Path, disk: WatchedDisk) -> Iterator[RingPeer]:
    """``FILE`` is a new file; its clunk waits twice."""
    peer = RingPeer(tmp_path, wrap=lambda local: SyncOnCloseTree(disk.wrap(local)))
    peer.mount()
    peer.create(b"f", FILE)
    yield peer
    peer.close()


def put(peer: RingPeer, *requests: Message) -> None:
    for request in requests:
        peer.put(encode(request))
    peer.serve()


def complete(peer: RingPeer) -> Message:
    """The next reply that comes when a step has ended."""
    while (answer := peer.take()) is None:
        assert select.select([peer.connection.completion_fd], [], [], 10)[0]
        peer.connection.complete()
    return answer[0]


def test_the_rest_goes_on_while_a_clunk_waits(peer: RingPeer, disk: WatchedDisk) -> None:
    put(peer, CLUNK, Tgetattr(Tag(4), FILE, 0), Tgetattr(Tag(5), ROOT_FID, 0))
    first, second = peer.take(), peer.take()
    assert first is not None
    assert first[0] == Rlerror(Tag(4), errno.EBADF)
    assert second is not None
    assert isinstance(second[0], Rgetattr)
    assert complete(peer) == Rclunk(CLUNK.tag)
    assert disk.synced == ALL


@pytest.mark.parametrize("broken", ALL)
def test_what_the_disk_says_comes_on_the_clunks_tag(
    peer: RingPeer, disk: WatchedDisk, broken: str
) -> None:
    disk.fail(errno.ENOSPC, broken)
    put(peer, CLUNK)
    assert complete(peer) == Rlerror(CLUNK.tag, errno.ENOSPC)


def test_a_new_session_hears_nothing_of_a_clunk_that_is_carried_out(
    peer: RingPeer, disk: WatchedDisk
) -> None:
    put(peer, CLUNK, Tversion(NOTAG, 8192, b"9P2000.L"))
    assert peer.take() == (Rversion(NOTAG, 8192, b"9P2000.L"), b"")
    while disk.synced != ALL or peer.connection.in_flight.running:
        assert select.select([peer.connection.completion_fd], [], [], 10)[0]
        peer.connection.complete()
    assert peer.take() is None


def test_a_connection_that_ends_carries_its_clunks_out(
    tmp_path: Path, disk: WatchedDisk, caplog: pytest.LogCaptureFixture
) -> None:
    for number, broken in enumerate(([], ["directory"])):
        peer = RingPeer(tmp_path, wrap=lambda local: SyncOnCloseTree(disk.wrap(local)))
        peer.mount()
        peer.create(b"%d" % number, FILE)
        disk.synced.clear()
        disk.fail(errno.EIO, *broken)
        put(peer, CLUNK)
        peer.close()
        assert disk.synced == [what for what in ALL if what not in broken]
        assert ("after the client has gone" in caplog.text) == bool(broken)


def test_without_a_thread_a_clunk_is_answered_once(
    peer: RingPeer, disk: WatchedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as dom0:
        dom0.setattr(Thread, "start", none_left)
        put(peer, CLUNK)
        assert complete(peer) == Rclunk(CLUNK.tag)
    assert disk.synced == ALL
    peer.create(b"another", FILE)
    put(peer, CLUNK)
    assert complete(peer) == Rclunk(CLUNK.tag)
    assert peer.take() is None
