from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.platform.embedded.wire import MAX_PACKET, MAX_PAGES, PacketError, decode, encode

WORDS = st.lists(st.integers(0, 0xFFFF_FFFF), max_size=50)
FIELDS = st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=20), max_size=5)


@given(FIELDS, WORDS)
def test_a_packet_is_read_as_it_was_written(fields: dict[str, object], words: list[int]) -> None:
    assert decode(encode(fields, words)) == (fields, tuple(words))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_a_packet_error(data: bytes) -> None:
    with suppress(PacketError):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"7", b'{"a":1}\0abc', b"{" * 100_000, b"[" * 100_000, b"\xff\xfe", b"1" * 9000],
)
def test_what_is_no_packet(data: bytes) -> None:
    with pytest.raises(PacketError):
        decode(data)


def test_a_word_has_32_bits() -> None:
    for word in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            encode({}, [word])


def test_the_longest_lists_fit_a_packet() -> None:
    """A share's answer: a reference for each page, and runs of 2.5 pages on the average."""
    words = [0xFFFF_FFFF] * (MAX_PAGES + MAX_PAGES * 2 // 5 + 100)
    assert len(encode({"number": 1 << 62}, words)) <= MAX_PACKET
