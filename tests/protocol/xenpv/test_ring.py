"""The byte rings, both ends over the same memory, with an honest and with a hostile peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.xenpv.layout import IN_CONS, IN_PROD, OUT_CONS, OUT_PROD
from protocol.xenpv.ring import (
    INDEX_MASK,
    ConsumerRing,
    ProducerRing,
    RingError,
    backend_rings,
    frontend_rings,
)

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 64


def fresh(start: int = 0) -> tuple[memoryview, memoryview]:
    words = memoryview(bytearray(4096)).cast("I")
    for word in (IN_CONS, IN_PROD, OUT_CONS, OUT_PROD):
        words[word] = start & INDEX_MASK
    return words, memoryview(bytearray(2 * SIZE))


def write(ring: ProducerRing, data: bytes) -> None:
    assert ring.free() >= len(data)
    ring.put(0, data)
    ring.advance(len(data))


def offer(ring: ProducerRing, data: bytes) -> None:
    assert ring.offer(data)
    ring.advance(len(data))


@given(
    start=st.integers(0, INDEX_MASK),
    chunks=st.lists(st.binary(min_size=1, max_size=SIZE), max_size=30),
    put=st.sampled_from([write, offer]),
)
def test_what_one_end_writes_the_other_reads_from_any_start(
    start: int, chunks: list[bytes], put: Callable[[ProducerRing, bytes], None]
) -> None:
    words, data = fresh(start)
    backend_in, backend_out = backend_rings(words, data, "ring 0")
    frontend_in, frontend_out = frontend_rings(words, data, "ring 0")
    for chunk in chunks:
        for producer, consumer in ((frontend_out, backend_in), (backend_out, frontend_in)):
            put(producer, chunk)
            assert consumer.available() == len(chunk)
            assert consumer.peek(len(chunk)) == chunk
            assert b"".join(consumer.slices(0, len(chunk))) == chunk
            if len(chunk) > 1:
                assert consumer.peek(len(chunk) - 1, at=1) == chunk[1:]
            consumer.advance(len(chunk))
            assert consumer.available() == 0
            assert producer.free() == SIZE


@given(start=st.integers(0, INDEX_MASK), at=st.integers(0, SIZE), length=st.integers(0, SIZE))
def test_slices_cover_the_range_and_write_through(start: int, at: int, length: int) -> None:
    words, data = fresh(start)
    _, producer = backend_rings(words, data, "ring 0")
    parts = producer.slices(at, length)
    assert sum(len(part) for part in parts) == length
    assert len(parts) <= 2
    pattern = bytes((7 * i + 1) & 0xFF for i in range(length))
    position = 0
    for part in parts:
        part[:] = pattern[position : position + len(part)]
        position += len(part)
    check = ConsumerRing(words, data[:SIZE], IN_PROD, IN_CONS)
    assert check.peek(length, at) == pattern


def test_the_full_ring_is_full_and_the_empty_one_empty_although_indices_are_equal_modulo_size() -> (
    None
):
    words, data = fresh()
    consumer, _ = backend_rings(words, data, "ring 0")
    _, producer = frontend_rings(words, data, "ring 0")
    assert (consumer.available(), producer.free()) == (0, SIZE)
    write(producer, bytes(SIZE))
    assert (consumer.available(), producer.free()) == (SIZE, 0)


@given(start=st.integers(0, INDEX_MASK), used=st.integers(0, SIZE), length=st.integers(0, SIZE + 1))
def test_what_does_not_fit_is_not_written(start: int, used: int, length: int) -> None:
    words, data = fresh(start)
    _, producer = backend_rings(words, data, "ring 0")
    write(producer, bytes(used))
    before = bytes(data)
    assert producer.offer(b"x" * length) is (length <= SIZE - used)
    if length > SIZE - used:
        assert bytes(data) == before
    assert producer.index == (start + used) & INDEX_MASK


@given(start=st.integers(0, INDEX_MASK), peer=st.integers(0, INDEX_MASK))
def test_a_peer_index_is_believed_only_within_the_ring(start: int, peer: int) -> None:
    words, data = fresh(start)
    consumer, producer = backend_rings(words, data, "ring 3")
    words[OUT_PROD] = peer
    words[IN_CONS] = peer
    ahead = (peer - start) & INDEX_MASK
    if ahead <= SIZE:
        assert consumer.available() == ahead
    else:
        with pytest.raises(RingError, match=f"ring 3 out: indices {start} .* and {peer} "):
            consumer.available()
    behind = (start - peer) & INDEX_MASK
    if behind <= SIZE:
        assert producer.free() == SIZE - behind
    else:
        for ask in (producer.free, lambda: producer.offer(b"x")):
            with pytest.raises(RingError, match=f"ring 3 in: indices {start} .* and {peer} "):
                ask()


def test_a_peer_that_overwrites_our_published_index_changes_nothing_for_us() -> None:
    words, data = fresh()
    consumer, producer = backend_rings(words, data, "ring 0")
    _, other = frontend_rings(words, data, "ring 0")
    write(other, b"abcdef")
    consumer.available()
    consumer.advance(2)
    words[OUT_CONS] = 0xDEAD
    words[IN_PROD] = 0xBEEF
    assert (consumer.index, producer.index) == (2, 0)
    assert consumer.available() == 4
    assert consumer.peek(4) == b"cdef"
    producer.put(0, b"x")
    producer.advance(1)
    assert words[IN_PROD] == 1
    assert consumer.peer_index == 6


@pytest.mark.parametrize("size", [0, 3, 4095])
def test_only_powers_of_two_are_rings(size: int) -> None:
    words, _ = fresh()
    with pytest.raises(ValueError, match=f"a ring of {size} bytes"):
        ConsumerRing(words, memoryview(bytearray(size)), 0, 1)


def test_the_interface_page_must_be_words_so_that_an_index_is_one_load() -> None:
    with pytest.raises(ValueError, match="32-bit words"):
        ProducerRing(memoryview(bytearray(64)), memoryview(bytearray(64)), 0, 1)


def test_the_barrier_stands_between_data_and_indices() -> None:
    words, data = fresh()
    at_barrier: list[tuple[int, ...]] = []

    def barrier() -> None:
        at_barrier.append(tuple(words[at] for at in (OUT_CONS, IN_PROD)))
        data[SIZE] ^= 1  # what comes late for the index comes early enough for the data

    consumer, producer = backend_rings(words, data, "ring 0", barrier)
    words[OUT_PROD] = 4
    assert consumer.available() == 4
    assert consumer.peek(1) == b"\1"
    consumer.advance(4)
    assert producer.free() == SIZE
    producer.put(0, b"abc")
    producer.advance(3)
    assert at_barrier == [(0, 0), (0, 0), (4, 0), (4, 0)]
    assert producer.offer(b"de")
    producer.advance(2)
    assert at_barrier[4:] == [(4, 3), (4, 3)]
    assert (words[OUT_CONS], words[IN_PROD]) == (4, 5)
