"""Parked requests: asked again in order, ended once, and never in anybody's way."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.flush import MAX_HELD
from backend.fileserver.lane import Lane
from backend.fileserver.parked import MAX_PARKED, Parked, ParkedRequests
from backend.fileserver.stream import StreamSink, StreamSource
from protocol.ninep.codec import encode
from protocol.ninep.flags import (
    DOTL_RDWR,
    LOCK_BLOCKED,
    LOCK_FLAGS_BLOCK,
    LOCK_SUCCESS,
    LOCK_TYPE_UNLCK,
    LOCK_TYPE_WRLCK,
)
from protocol.ninep.ids import NOTAG, Fid, Tag
from protocol.ninep.messages import (
    Rclunk,
    Rflush,
    Rfsync,
    Rlerror,
    Rlock,
    Rread,
    Rversion,
    Rwrite,
    Tclunk,
    Tflush,
    Tfsync,
    Tlock,
    Tlopen,
    Tread,
    Tversion,
    Twalk,
    Twrite,
)

from .lock_holder import LockHolder
from .ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = Fid(7)

LANE = Lane(StreamSource(4096), StreamSink(4096), lambda: None)


def tlock(tag: int, pid: int, kind: int = LOCK_TYPE_WRLCK) -> Tlock:
    """A lock of the whole file, to be waited for."""
    return Tlock(Tag(tag), FILE, kind, LOCK_FLAGS_BLOCK, 0, 0, pid, b"guest")


class Awaited:
    """Something to wait for, which comes when the test says so."""

    def __init__(self, tag: int = 1, seconds: float = 5.0) -> None:
        self.tag = Tag(tag)
        self.answer: Rclunk | Exception | None = None
        self.asked = 0
        self.released = 0
        self.parked = Parked(self._attempt, self._release, Rlock(self.tag, 1), seconds)

    def _attempt(self) -> Rclunk | None:
        assert not self.released
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def _release(self) -> None:
        self.released += 1


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requests(clock: Clock) -> ParkedRequests:
    return ParkedRequests(clock)


def ended(requests: ParkedRequests) -> list[tuple[int, object]]:
    """The tags and outcomes of those that need wait no longer."""
    return [(waiting.tag, outcome) for waiting, outcome in requests.finished()]


def park(requests: ParkedRequests, waiting: Awaited) -> None:
    assert requests.park(LANE, waiting.tag, waiting.parked) is None


def test_they_end_when_they_have_a_reply_and_in_order(requests: ParkedRequests) -> None:
    several = [Awaited(tag) for tag in range(4)]
    for waiting in several:
        park(requests, waiting)
    assert ended(requests) == []
    for waiting in several[3], several[1]:
        waiting.answer = Rclunk(waiting.tag)
    assert ended(requests) == [(tag, Rclunk(Tag(tag))) for tag in (1, 3)]
    assert [waiting.released for waiting in several] == [0, 1, 0, 1]
    assert len(requests) == 2
    assert ended(requests) == []
    assert [waiting.asked for waiting in several] == [3, 2, 3, 2]
    requests.clear()
    assert [waiting.released for waiting in several] == [1, 1, 1, 1]
    assert len(requests) == 0


@pytest.mark.parametrize("error", [PermissionError(1, "no"), ZeroDivisionError()])
def test_whatever_one_raises_is_its_end(requests: ParkedRequests, error: Exception) -> None:
    waiting, other = Awaited(1), Awaited(2)
    waiting.answer = error
    park(requests, waiting)
    park(requests, other)
    assert ended(requests) == [(1, error)]
    assert (waiting.released, other.asked) == (1, 1)
    requests.clear()


def test_when_its_time_is_over_it_is_asked_once_more(
    requests: ParkedRequests, clock: Clock
) -> None:
    short, lucky, long = Awaited(1, 5.0), Awaited(2, 5.0), Awaited(3, 60.0)
    for waiting in (short, lucky, long):
        park(requests, waiting)
    clock.now += 4.9
    assert ended(requests) == []
    clock.now += 0.1
    lucky.answer = Rclunk(lucky.tag)
    assert ended(requests) == [(1, Rlock(Tag(1), 1)), (2, Rclunk(Tag(2)))]
    assert (short.asked, short.released, long.released) == (2, 1, 0)
    requests.clear()


def test_one_too_many_is_answered_as_if_its_time_were_over(requests: ParkedRequests) -> None:
    several = [Awaited(tag) for tag in range(MAX_PARKED + 1)]
    for waiting in several[:-1]:
        park(requests, waiting)
    late = several[-1]
    assert requests.park(LANE, late.tag, late.parked) == Rlock(late.tag, 1)
    assert (late.asked, late.released) == (0, 1)
    requests.cancel(Tag(0))
    again = Awaited(1234)
    park(requests, again)
    requests.clear()
    assert {waiting.released for waiting in (*several, again)} == {1}


def test_cancelling_ends_all_of_a_tag_and_nothing_else(requests: ParkedRequests) -> None:
    mine, twin, other = Awaited(7), Awaited(7), Awaited(8)
    for waiting in (mine, twin, other):
        park(requests, waiting)
    requests.cancel(Tag(7))
    requests.cancel(Tag(9))
    assert [waiting.released for waiting in (mine, twin, other)] == [1, 1, 0]
    assert len(requests) == 1
    requests.clear()


class TestInThePump:
    """A lock that is taken: its request waits, everything else goes on."""

    HOLDER, WAITER = 1, 2

    @pytest.fixture
    def peer(self, tmp_path: Path) -> Iterator[RingPeer]:
        peer = RingPeer(tmp_path)
        peer.mount()
        peer.create(b"file", FILE)
        assert peer.call(tlock(10, self.HOLDER)) == Rlock(Tag(10), LOCK_SUCCESS)
        yield peer
        peer.close()

    def park(self, peer: RingPeer, tag: int = 11, pid: int = WAITER, ring: int = 0) -> None:
        peer.put(encode(tlock(tag, pid)), ring)
        peer.serve(ring)
        assert peer.take(ring) is None
        assert peer.connection.held()

    @pytest.mark.parametrize("ring", [0, 1])
    def test_the_unlock_answers_it_at_once_on_its_own_ring(self, peer: RingPeer, ring: int) -> None:
        self.park(peer, ring=1)
        before = peer.notified[1]
        assert peer.call(tlock(12, self.HOLDER, LOCK_TYPE_UNLCK), ring=ring) == Rlock(Tag(12), 0)
        assert peer.take(1) == (Rlock(Tag(11), LOCK_SUCCESS), b"")
        assert peer.notified[1] > before
        assert not peer.connection.held()

    def test_other_requests_go_on(self, peer: RingPeer) -> None:
        self.park(peer)
        for ring in (0, 1):
            assert peer.call(Twrite(Tag(12), FILE, 0, 5), b"hello", ring) == Rwrite(Tag(12), 5)
            reply, data = peer.call_with_data(Tread(Tag(13), FILE, 0, 5), ring=ring)
            assert (reply, data) == (Rread(Tag(13), 5), b"hello")
        assert isinstance(peer.call(Tfsync(Tag(14), FILE, 0)), Rfsync)
        peer.call(tlock(15, self.HOLDER, LOCK_TYPE_UNLCK))
        assert peer.take() == (Rlock(Tag(11), LOCK_SUCCESS), b"")

    @pytest.mark.parametrize("ring", [0, 1])
    def test_a_flush_ends_it_without_a_reply(self, peer: RingPeer, ring: int) -> None:
        self.park(peer)
        assert peer.call(Tflush(Tag(12), Tag(11)), ring=ring) == Rflush(Tag(12))
        assert not peer.connection.held()
        assert peer.call(tlock(13, self.HOLDER, LOCK_TYPE_UNLCK)) == Rlock(Tag(13), LOCK_SUCCESS)
        # The one that gave up has got nothing: the file is free, and the tag too.
        assert peer.call(tlock(11, 3)) == Rlock(Tag(11), LOCK_SUCCESS)

    @pytest.mark.parametrize("ring", [0, 1])
    def test_a_flush_that_is_too_late_comes_after_the_reply(
        self, peer: RingPeer, ring: int
    ) -> None:
        self.park(peer)
        peer.put(encode(tlock(12, self.HOLDER, LOCK_TYPE_UNLCK)))
        peer.serve()
        peer.put(encode(Tflush(Tag(13), Tag(11))), ring)
        peer.serve(ring)
        if ring:
            assert peer.take(ring) is None  # the reply lies unread on the other ring
        assert [peer.take(), peer.take()] == [
            (Rlock(Tag(12), LOCK_SUCCESS), b""),
            (Rlock(Tag(11), LOCK_SUCCESS), b""),
        ]
        peer.serve(ring)
        assert peer.take(ring) == (Rflush(Tag(13)), b"")

    def test_a_flush_that_is_refused_has_ended_nothing(self, peer: RingPeer) -> None:
        self.park(peer)
        peer.put(encode(Tread(Tag(20), FILE, 0, 1)))  # whose reply lies unread
        peer.serve()
        for number in range(MAX_HELD):
            peer.put(encode(Tflush(Tag(1000 + number), Tag(20))), 1)
        peer.put(encode(Tflush(Tag(21), Tag(11))), 1)
        peer.serve(1)
        assert peer.take(1) == (Rlerror(Tag(21), errno.EAGAIN), b"")
        peer.put(encode(tlock(22, self.HOLDER, LOCK_TYPE_UNLCK)))
        peer.serve()
        answers = [peer.take(), peer.take(), peer.take()]
        assert answers[2] == (Rlock(Tag(11), LOCK_SUCCESS), b"")

    def test_many_wait_and_each_gets_its_turn(self, peer: RingPeer) -> None:
        for number in range(MAX_PARKED):
            self.park(peer, 100 + number, 100 + number)
        assert peer.call(tlock(99, 99)) == Rlock(Tag(99), LOCK_BLOCKED)  # one too many
        last = self.HOLDER
        for number in range(MAX_PARKED):
            peer.put(encode(tlock(50, last, LOCK_TYPE_UNLCK)))
            peer.serve()
            assert peer.take() == (Rlock(Tag(50), LOCK_SUCCESS), b"")
            assert peer.take() == (Rlock(Tag(100 + number), LOCK_SUCCESS), b"")
            assert peer.take() is None
            last = 100 + number
        assert not peer.connection.held()

    def test_another_process_is_looked_after_when_nothing_else_happens(
        self, peer: RingPeer, tmp_path: Path
    ) -> None:
        peer.call(tlock(11, self.HOLDER, LOCK_TYPE_UNLCK))
        with LockHolder("posix", tmp_path / "file") as dom0:
            assert dom0.ask("w")
            self.park(peer)
            assert dom0.ask("u")
            peer.serve()  # as the loop does every HELD_POLL seconds
            assert peer.take() == (Rlock(Tag(11), LOCK_SUCCESS), b"")

    def test_its_fids_end_is_its_own(self, peer: RingPeer) -> None:
        other = Fid(8)
        peer.call(Twalk(Tag(1), ROOT_FID, other, (b"file",)))
        peer.call(Tlopen(Tag(1), other, DOTL_RDWR))
        peer.put(encode(tlock(11, self.WAITER)._replace(fid=other)))
        peer.serve()
        assert peer.take() is None
        assert peer.call(Tclunk(Tag(12), other)) == Rclunk(Tag(12))
        assert peer.take() == (Rlerror(Tag(11), errno.EBADF), b"")

    def test_a_new_session_hears_nothing_of_it(self, peer: RingPeer) -> None:
        self.park(peer)
        reply = peer.call(Tversion(NOTAG, 8192, b"9P2000.L"))
        assert reply == Rversion(NOTAG, 8192, b"9P2000.L")
        assert peer.take() is None
        assert not peer.connection.held()
        assert len(peer.session.locks) == peer.session.limits.locks.used == 0

    def test_the_connections_end_is_its_own(self, peer: RingPeer) -> None:
        self.park(peer)  # and peer.close() follows; the fixtures look for descriptors
