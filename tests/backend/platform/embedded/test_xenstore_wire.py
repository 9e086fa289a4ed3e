"""Packets: the schema and its fast form agree, and a stream decodes the same however it is cut."""

from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.platform.embedded.xenstore_wire import (
    FAST_HEADER,
    HEADER,
    HEADER_SIZE,
    PAYLOAD_MAX,
    Decoder,
    Packet,
    WireError,
    error_payload,
)

words = st.integers(0, 2**32 - 1)
packets = st.builds(Packet, words, words, words, st.binary(max_size=64))


@given(words, words, words, words)
def test_the_fast_header_is_the_schema(op: int, req_id: int, tx_id: int, length: int) -> None:
    fast = FAST_HEADER.pack(op, req_id, tx_id, length)
    assert fast == HEADER.build({"type": op, "req_id": req_id, "tx_id": tx_id, "len": length})
    parsed = HEADER.parse(fast)
    assert (parsed.type, parsed.req_id, parsed.tx_id, parsed.len) == FAST_HEADER.unpack(fast)
    assert HEADER.sizeof() == HEADER_SIZE == 16


def test_a_packet_is_laid_out_as_xs_wire_h_says() -> None:
    assert Packet(2, 7, 9, b"/a\0").encode() == struct.pack("=4I", 2, 7, 9, 3) + b"/a\0"


@given(st.lists(packets, max_size=8), st.lists(st.integers(1, 40)))
def test_packets_survive_any_cutting_of_the_stream(sent: list[Packet], cuts: list[int]) -> None:
    stream = b"".join(packet.encode() for packet in sent)
    decoder, got, at = Decoder(), [], 0
    for size in [*cuts, len(stream)]:
        decoder.feed(stream[at : at + size])
        at += size
        while (packet := decoder.next()) is not None:
            got.append(packet)
    assert got == sent


@given(st.binary(max_size=200))
def test_any_bytes_give_packets_or_the_wire_error(data: bytes) -> None:
    decoder = Decoder()
    decoder.feed(data)
    try:
        while decoder.next() is not None:
            pass
    except WireError:
        return


def test_the_longest_payload_and_one_byte_more() -> None:
    decoder = Decoder()
    longest = Packet(2, 0, 0, bytes(PAYLOAD_MAX))
    decoder.feed(longest.encode())
    assert decoder.next() == longest
    decoder.feed(FAST_HEADER.pack(2, 0, 0, PAYLOAD_MAX + 1))
    with pytest.raises(WireError, match="4097"):
        decoder.next()


def test_an_errno_without_a_name_on_the_wire_goes_as_einval() -> None:
    assert error_payload(OSError(errno.ENOENT, "")) == b"ENOENT\0"
    assert error_payload(OSError(errno.ENOTCONN, "")) == b"EINVAL\0"
    assert error_payload(OSError("without errno")) == b"EINVAL\0"
