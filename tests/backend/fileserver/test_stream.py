"""Stream rings: bytes go through unchanged, whatever the sizes, and never wait."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.stream import StreamClosed, StreamSink, StreamSource

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_bytes_pass_in_order_through_wraps(pair: Pair) -> None:
    ours, theirs = pair
    source, sink = StreamSource(64), StreamSink(64)
    rng = random.Random(1)
    sent, received = bytearray(), bytearray()
    while len(received) < 5000:
        count = rng.randint(0, sink.free())
        data = rng.randbytes(count)
        if rng.random() < 0.5:
            assert sink.offer(data)
            assert not sink.offer(bytes(sink.free() + 1))
        else:
            done = 0
            for view in sink.slices(0, count):
                view[:] = data[done : done + len(view)]
                done += len(view)
        sink.advance(count)
        sent += data
        sink.flush(ours)
        source.fill(theirs)
        take = rng.randint(0, source.available())
        skip = rng.randint(0, take)
        received += source.peek(skip)
        received += b"".join(source.slices(skip, take - skip))
        source.advance(take)
    assert received == sent[: len(received)]


def test_full_source_takes_no_more_until_given_back(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(bytes(range(10)))
    source = StreamSource(8)
    source.fill(ours)
    assert source.available() == 8
    assert not source.has_room()
    source.fill(ours)
    assert source.available() == 8
    source.advance(3)
    source.fill(ours)
    assert source.peek(7) == bytes(range(3, 10))


def test_nothing_to_read_is_no_error(pair: Pair) -> None:
    source = StreamSource(8)
    source.fill(pair[0])
    assert source.available() == 0


def test_peer_that_does_not_read_leaves_the_rest_pending(pair: Pair) -> None:
    ours, theirs = pair
    sink = StreamSink(1 << 22)
    sink.advance(sink.free())
    sink.flush(ours)
    left = sink.pending()
    assert 0 < left < sink.size
    while theirs.recv(1 << 22):
        sink.flush(ours)
        if not sink.pending():
            break
    assert sink.free() == sink.size


def test_hang_up_is_told(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"abc")
    theirs.close()
    source = StreamSource(8)
    source.fill(ours)
    assert source.peek(3) == b"abc"
    with pytest.raises(StreamClosed):
        source.fill(ours)
    sink = StreamSink(8)
    sink.put(0, b"x")
    sink.advance(1)
    with pytest.raises(StreamClosed):
        sink.flush(ours)


def test_size_must_be_a_power_of_two() -> None:
    for size in (0, -8, 12):
        with pytest.raises(ValueError, match="power of two"):
            StreamSource(size)
