"""The pump: framing, room, batches, flushes, and the three kinds of failure."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.connection import BATCH_REQUESTS
from backend.fileserver.flush import MAX_HELD
from backend.fileserver.handlers import HANDLERS
from backend.trace import TraceWriter
from protocol.ninep.codec import encode
from protocol.ninep.dialects import Dialect
from protocol.ninep.ids import NOFID, NOTAG, Fid, Tag
from protocol.ninep.messages import (
    TYPE_NUMBERS,
    Rattach,
    Rclunk,
    Rflush,
    Rfsync,
    Rgetattr,
    Rlerror,
    Rread,
    Rversion,
    Rwrite,
    Tattach,
    Tclunk,
    Tflush,
    Tfsync,
    Tgetattr,
    Tread,
    Treaddir,
    Tversion,
    Twalk,
    Twrite,
)
from protocol.xenpv.ids import Devid, Domid
from protocol.xenpv.layout import IN_CONS, OUT_PROD
from protocol.xenpv.ring import RingError

from .ring_peer import ROOT_FID, RingPeer

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = Fid(7)
GETATTR = Tgetattr(Tag(9), ROOT_FID, 0x17FF)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[RingPeer]:
    peer = RingPeer(tmp_path)
    yield peer
    peer.close()


@pytest.fixture
def mounted(peer: RingPeer) -> RingPeer:
    peer.mount()
    return peer


def alive(peer: RingPeer, ring: int = 0) -> bool:
    return isinstance(peer.call(GETATTR, ring=ring), Rgetattr)


def test_data_goes_out_and_comes_back_across_the_rings_end(mounted: RingPeer) -> None:
    mounted.create(b"f", FILE)
    block = os.urandom(9000)
    for number in range(20):  # 20 x 9 KB on a half of 32 KiB: many wraps
        reply = mounted.call(Twrite(Tag(2), FILE, number * 9000, 9000), block)
        assert reply == Rwrite(Tag(2), 9000)
    for number in range(20):
        reply, data = mounted.call_with_data(Tread(Tag(3), FILE, number * 9000, 9000))
        assert (reply, data) == (Rread(Tag(3), 9000), block)
    assert mounted.connection.counters.bytes_written == 180_000
    assert mounted.connection.counters.bytes_read == 180_000


def test_a_request_may_arrive_in_pieces(mounted: RingPeer) -> None:
    frame = encode(GETATTR)
    for cut in range(1, len(frame)):
        mounted.put(frame[:cut])
        mounted.serve()
        assert mounted.take() is None
        mounted.put(frame[cut:])
        mounted.serve()
        answer = mounted.take()
        assert answer is not None
        assert isinstance(answer[0], Rgetattr)


@pytest.mark.parametrize("size", [0, 6, (32 << 10) + 1, 0xFFFF_FFFF])
def test_a_size_that_hides_the_next_message_makes_the_ring_impossible(
    mounted: RingPeer, size: int
) -> None:
    mounted.put(size.to_bytes(4, "little") + bytes(3))
    with pytest.raises(RingError, match=f"a message of {size} bytes"):
        mounted.serve()


@pytest.mark.parametrize("word", [OUT_PROD, IN_CONS])
def test_an_index_out_of_range_makes_the_ring_impossible(mounted: RingPeer, word: int) -> None:
    mounted.put(encode(GETATTR))
    mounted.words[0][word] = mounted.words[0][word] + (32 << 10) + 1
    with pytest.raises(RingError, match="do not fit"):
        mounted.serve()


def test_a_message_above_msize_is_refused_on_its_tag_and_skipped(peer: RingPeer) -> None:
    assert peer.mount(msize=8192) == 8192
    reply = peer.call(Twrite(Tag(4), FILE, 0, 9000), bytes(9000))
    assert reply == Rlerror(Tag(4), errno.EMSGSIZE)
    assert alive(peer)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x13\x00", errno.EPROTO),  # Tgetattr needs 12 bytes
        (encode(GETATTR)[7:] + b"!", errno.EPROTO),
    ],
)
def test_a_malformed_body_is_answered_on_its_tag(mounted: RingPeer, body: bytes, code: int) -> None:
    frame = (7 + len(body)).to_bytes(4, "little") + bytes([TYPE_NUMBERS[Tgetattr], 5, 0]) + body
    mounted.put(frame)
    mounted.serve()
    assert mounted.take() == (Rlerror(Tag(5), code), b"")
    assert mounted.connection.counters.malformed == 1
    assert alive(mounted)


def test_an_unknown_type_is_answered_on_its_tag(mounted: RingPeer) -> None:
    for kind in (0, 1, 5, 11, 106, 107, 200, 255):
        mounted.put((7).to_bytes(4, "little") + bytes([kind, 6, 0]))
        mounted.serve()
        answer = mounted.take()
        assert answer is not None
        reply = answer[0]
        assert isinstance(reply, Rlerror)
        assert (reply.tag, reply.ecode) in {(6, errno.EOPNOTSUPP), (6, errno.EPROTO)}
    assert alive(mounted)


@pytest.mark.parametrize("dialect", Dialect)
def test_every_request_of_a_dialect_has_its_handler(dialect: Dialect) -> None:
    assert dialect.requests - set(HANDLERS) <= {Tread, Twrite, Treaddir, Tflush}


def test_nothing_but_tversion_comes_first(peer: RingPeer) -> None:
    reply = peer.call(Tattach(Tag(1), ROOT_FID, NOFID, b"root", b"/", 0))
    assert reply == Rlerror(Tag(1), errno.EPROTO)
    peer.mount()
    assert alive(peer)


def test_a_second_tversion_starts_over(mounted: RingPeer) -> None:
    mounted.create(b"f", FILE)
    version = mounted.call(Tversion(NOTAG, 8192, b"9P2000.L"), ring=1)
    assert version == Rversion(NOTAG, 8192, b"9P2000.L")
    assert mounted.call(GETATTR) == Rlerror(GETATTR.tag, errno.EBADF)
    reply = mounted.call(Tattach(Tag(1), ROOT_FID, NOFID, b"root", b"/", 0))
    assert isinstance(reply, Rattach)


def test_a_read_of_four_gigabytes_is_clamped_to_msize(peer: RingPeer) -> None:
    msize = peer.mount(msize=16384)
    peer.create(b"f", FILE)
    peer.call(Twrite(Tag(2), FILE, 0, 16000), bytes(16000))
    peer.call(Twrite(Tag(2), FILE, 16000, 16000), bytes(16000))
    reply, data = peer.call_with_data(Tread(Tag(3), FILE, 0, 0xFFFF_FFFF))
    assert reply == Rread(Tag(3), msize - 11)
    assert len(data) == msize - 11


def test_a_reply_waits_for_room_and_is_never_shortened(mounted: RingPeer) -> None:
    mounted.create(b"f", FILE)
    block = os.urandom(12000)
    mounted.call(Twrite(Tag(2), FILE, 0, 12000), block)
    for tag in range(4):
        mounted.put(encode(Tread(Tag(tag), FILE, 0, 12000)))
    mounted.put(encode(Treaddir(Tag(4), ROOT_FID, 0, 4000)))
    mounted.serve()
    assert mounted.connection.held()
    got = []
    while answer := mounted.take():
        got.append(answer)
        mounted.serve()  # an event without news, or the one that Linux sends after reading
    assert got[:4] == [(Rread(Tag(tag), 12000), block) for tag in range(4)]
    assert got[4][0] == Rlerror(Tag(4), errno.EBADF)  # the root has not been opened
    assert not mounted.connection.held()


def test_small_replies_too_wait_for_room(tmp_path: Path) -> None:
    small = RingPeer(tmp_path, rings=1, order=1)  # 4096 bytes each way
    small.mount()
    try:
        sent, got = 0, []
        while not small.connection.held():
            small.put(encode(GETATTR._replace(tag=Tag(sent))))
            sent += 1
            small.serve()
        while answer := small.take():
            got.append(answer[0].tag)
            small.serve()
        assert got == list(range(sent))
    finally:
        small.close()


def test_a_batch_is_bounded(mounted: RingPeer) -> None:
    for tag in range(BATCH_REQUESTS + 1):
        mounted.put(encode(Tclunk(Tag(tag), Fid(99))))
    assert mounted.connection.service(0)
    assert mounted.connection.counters.requests == BATCH_REQUESTS + 2  # with the mount's two
    assert not mounted.connection.service(0)


def test_one_notification_tells_of_a_whole_batch(mounted: RingPeer) -> None:
    before = mounted.notified[0]
    for tag in range(10):
        mounted.put(encode(GETATTR._replace(tag=Tag(tag))))
    mounted.serve()
    assert mounted.notified[0] == before + 1
    mounted.serve()
    assert mounted.notified[0] == before + 1


def test_a_trace_has_every_reply_also_one_that_was_held_back(tmp_path: Path) -> None:
    path = str(tmp_path / "trace.pcap")
    (tmp_path / "root").mkdir()
    TraceWriter.create(path)
    with TraceWriter.open(path, Domid(5), Devid(0)) as trace:
        peer = RingPeer(tmp_path / "root", trace=trace)
        peer.mount()
        peer.put(encode(GETATTR), ring=0)
        peer.serve(0)
        peer.put(encode(Tflush(Tag(0x1234), GETATTR.tag)), ring=1)
        peer.serve(1)
        flushed = encode(Rflush(Tag(0x1234)))
        assert flushed not in Path(path).read_bytes()
        answer = peer.take(ring=0)
        assert answer is not None
        peer.serve(0)
        assert peer.take(ring=1) == (Rflush(Tag(0x1234)), b"")
        assert peer.call(Tflush(Tag(0x4321), GETATTR.tag)) == Rflush(Tag(0x4321))
        peer.close()
    traced = Path(path).read_bytes()
    for reply in (answer[0], Rflush(Tag(0x1234)), Rflush(Tag(0x4321))):
        assert encode(reply) in traced


class TestFlush:
    def test_of_an_answered_tag_on_the_same_ring(self, mounted: RingPeer) -> None:
        mounted.put(encode(GETATTR))
        mounted.put(encode(Tflush(Tag(2), GETATTR.tag)))
        mounted.serve()
        first, second = mounted.take(), mounted.take()
        assert first is not None
        assert isinstance(first[0], Rgetattr)
        assert second == (Rflush(Tag(2)), b"")

    def test_of_an_unknown_tag(self, mounted: RingPeer) -> None:
        for ring in (0, 1):
            assert mounted.call(Tflush(Tag(2), Tag(1234)), ring=ring) == Rflush(Tag(2))

    def test_on_the_other_ring_waits_until_the_answer_has_been_read(
        self, mounted: RingPeer
    ) -> None:
        mounted.put(encode(GETATTR), ring=0)
        mounted.serve(0)
        mounted.put(encode(Tflush(Tag(2), GETATTR.tag)), ring=1)
        mounted.serve(1)
        assert mounted.take(ring=1) is None
        assert mounted.connection.held()
        answer = mounted.take(ring=0)
        assert answer is not None
        assert isinstance(answer[0], Rgetattr)
        mounted.serve(0)
        assert mounted.take(ring=1) == (Rflush(Tag(2)), b"")
        assert not mounted.connection.held()

    def test_that_waits_holds_up_nobody_else(self, mounted: RingPeer) -> None:
        mounted.put(encode(GETATTR), ring=0)
        mounted.serve(0)
        mounted.put(encode(Tflush(Tag(2), GETATTR.tag)), ring=1)
        mounted.serve(1)
        assert alive(mounted, ring=1)

    @pytest.mark.parametrize("ring", [0, 1])
    def test_of_a_running_tag_comes_after_its_answer(self, mounted: RingPeer, ring: int) -> None:
        mounted.create(b"f", FILE)
        mounted.put(encode(Tfsync(Tag(3), FILE, 0)), ring=0)
        mounted.serve(0)
        mounted.put(encode(Tflush(Tag(4), Tag(3))), ring=ring)
        mounted.serve(ring)
        assert mounted.take(ring) is None
        assert select.select([mounted.connection.completion_fd], [], [], 10)[0]
        mounted.connection.complete()
        assert mounted.take(0) == (Rfsync(Tag(3)), b"")
        mounted.serve(ring)
        assert mounted.take(ring) == (Rflush(Tag(4)), b"")
        assert not mounted.connection.held()

    def test_too_many_that_wait_are_refused_and_the_rest_is_served(self, mounted: RingPeer) -> None:
        mounted.put(encode(GETATTR), ring=0)
        mounted.serve(0)
        for number in range(MAX_HELD + 1):
            mounted.put(encode(Tflush(Tag(number), GETATTR.tag)), ring=1)
        mounted.serve(1)
        assert mounted.take(ring=1) == (Rlerror(Tag(MAX_HELD), errno.EAGAIN), b"")
        assert mounted.take(ring=0) is not None
        mounted.serve(0)
        flushed = [mounted.take(ring=1) for _ in range(MAX_HELD)]
        assert flushed == [(Rflush(Tag(number)), b"") for number in range(MAX_HELD)]

    def test_a_new_session_forgets_the_old_ones(self, mounted: RingPeer) -> None:
        mounted.create(b"f", FILE)
        mounted.put(encode(Tfsync(Tag(3), FILE, 0)), ring=0)
        mounted.put(encode(Tflush(Tag(4), Tag(3))), ring=0)
        mounted.put(encode(Tversion(NOTAG, 8192, b"9P2000.L")), ring=0)
        mounted.serve(0)
        assert mounted.take() == (Rversion(NOTAG, 8192, b"9P2000.L"), b"")
        mounted.connection.complete()
        assert mounted.take() is None
        assert not mounted.connection.held()


def test_requests_go_on_while_many_fsyncs_run(mounted: RingPeer) -> None:
    mounted.create(b"f", FILE)
    for tag in range(100):  # more than there are slots: the rest run at once
        mounted.put(encode(Tfsync(Tag(tag), FILE, 0)))
    mounted.put(encode(Tclunk(Tag(100), FILE)))  # the descriptor is pinned
    mounted.serve()
    tags: set[int] = set()
    while len(tags) < 101:
        mounted.connection.complete()
        while answer := mounted.take():
            assert isinstance(answer[0], (Rfsync, Rclunk))
            tags.add(answer[0].tag)
        if len(tags) < 101:
            assert select.select([mounted.connection.completion_fd], [], [], 10)[0]
    assert tags == set(range(101))


def test_any_walk_may_fail_and_the_next_succeeds(mounted: RingPeer) -> None:
    for names in ((b"a/b",), (b"\0",), (b"x" * 256,), (b"missing",)):
        reply = mounted.call(Twalk(Tag(1), ROOT_FID, Fid(5), names))
        assert isinstance(reply, Rlerror)
        assert alive(mounted)
    assert mounted.connection.counters.unforeseen == 0
