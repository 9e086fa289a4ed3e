"""When requests' room is given back and replies are seen: of many at once, or of each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend.fileserver.grouped_lane import GROUP, GroupedLane
from backend.fileserver.lane import NOTIFY_BYTES
from protocol.ninep.codec import encode
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import Tgetattr, Tread, Twrite
from protocol.xenpv.layout import IN_PROD, OUT_CONS
from tests.backend.fileserver.ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend.fileserver.lane import Lane

FILE = Fid(7)
GETATTR = encode(Tgetattr(Tag(9), ROOT_FID, 0x17FF))


class Commits(list[tuple[int, int]]):
    """What was committed, and whether anything of it could be seen before."""

    def __init__(self, peer: RingPeer) -> None:
        super().__init__()
        (lane,) = peer.connection.lanes
        assert isinstance(lane, GroupedLane)
        lane.commit = self._commit
        self._words = peer.words[0]
        self.shown = self._shown()

    def _shown(self) -> tuple[int, int]:
        return self._words[OUT_CONS], self._words[IN_PROD]

    def _commit(self, _lane: GroupedLane, taken: int, produced: int) -> None:
        assert self._shown() == self.shown, "a peer can see what is not committed"
        self.append((taken, produced))
        self.shown = self.shown[0] + taken, self.shown[1] + produced


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[RingPeer]:
    peer = RingPeer(tmp_path, rings=1, order=7, lane=GroupedLane)
    peer.mount()
    peer.create(b"f", FILE)
    peer.call(Twrite(Tag(2), FILE, 0, 65536), bytes(65536))
    yield peer
    peer.close()


def put(peer: RingPeer, frame: bytes, times: int) -> None:
    for _ in range(times):
        peer.put(frame)


def test_a_group_is_settled_at_once(peer: RingPeer) -> None:
    commits = Commits(peer)
    put(peer, GETATTR, GROUP + 5)
    peer.serve()
    assert [taken for taken, _ in commits] == [GROUP * len(GETATTR), 5 * len(GETATTR)]
    replies = [peer.take() for _ in range(GROUP + 5)]
    assert None not in replies
    expected = sum(len(encode(reply[0])) for reply in replies if reply is not None)
    assert sum(produced for _, produced in commits) == expected


def test_a_batch_of_much_data_is_settled_in_parts(peer: RingPeer) -> None:
    commits = Commits(peer)
    part = NOTIFY_BYTES // 4
    put(peer, encode(Tread(Tag(3), FILE, 0, part)), 10)
    peer.serve()
    assert len(commits) == 3
    assert all(NOTIFY_BYTES <= sum(commit) < NOTIFY_BYTES + part + 100 for commit in commits[:2])


def test_where_a_request_may_be_the_end_each_of_a_batch_is_settled_by_itself(
    peer: RingPeer,
) -> None:
    commits = Commits(peer)
    peer.connection.go_gently()
    put(peer, GETATTR, 5)
    peer.serve()
    assert len(commits) == 5
    put(peer, GETATTR, 5)
    peer.serve()
    assert len(commits) == 6


def test_what_is_by_itself_is_settled_after_all_before_it(peer: RingPeer) -> None:
    commits = Commits(peer)
    put(peer, GETATTR, 3)
    connection, count = peer.connection, 0
    answers = connection._answers
    plain = answers[Tgetattr]

    def second_by_itself(at: Lane, request: Tgetattr) -> bytes | None:
        nonlocal count
        count += 1
        if count == 2:
            at.by_itself()
        return plain(at, request)

    answers[Tgetattr] = second_by_itself
    peer.serve()
    assert [taken for taken, _ in commits] == [len(GETATTR)] * 3
