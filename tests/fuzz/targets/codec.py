"""Fuzzes the codec with frames."""

from __future__ import annotations

import contextlib

from protocol.ninep.codec import FIXED_SIZE, HEADER_SIZE, decode, encode
from protocol.ninep.directory import decode_entries, decode_stats
from protocol.ninep.errors import ProtocolError
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    """The bytes are a frame, and the payload of a directory's entries."""
    _frame(data)
    for entries in (decode_entries, decode_stats):
        with contextlib.suppress(ProtocolError):
            entries(data)


def _frame(data: bytes) -> None:
    # As the pump does it: the size is the ring's word, the head may leave the payload out.
    size = int.from_bytes(data[:4], "little") if len(data) >= HEADER_SIZE else len(data)
    head = data[: FIXED_SIZE.get(data[4], size)] if len(data) > 4 else data
    try:
        message = decode(head, size)
    except ProtocolError:
        return
    again = encode(message)
    assert again == head[: len(again)], f"{message} has another form: {again.hex()}"


TARGET = Target(
    "codec",
    "A frame is decoded into a message that encodes to the same bytes, or it is a ProtocolError; "
    "nothing else is ever raised.",
    run,
)
