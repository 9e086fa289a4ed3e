"""Between frames and messages: the checked codec that runs on a guest's bytes.

``decode`` either returns a message that packs to the same bytes or raises ``ProtocolError``; any
other exception is a bug, for any input.  It checks structure only: names with ``/``, unknown fids
and the like are the file server's business.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.ninep.errors import ProtocolError, malformed
from protocol.ninep.wire import DECODERS, ENCODERS, FIXED_SIZE, LAYOUTS

if TYPE_CHECKING:
    from protocol.ninep.ids import Tag
    from protocol.ninep.messages import Message

__all__ = [
    "FIXED_SIZE",
    "HEADER_SIZE",
    "Header",
    "ProtocolError",
    "decode",
    "decode_frame",
    "decode_header",
    "encode",
]

HEADER_SIZE: Final = 7
"""Bytes of ``size[4] type[1] tag[2]``, with which every message begins."""

_HEADER = struct.Struct("<IBH")
_BITS: Final = {"B": 8, "H": 16, "I": 32, "Q": 64}
_OTHERS: Final = {
    "s": "bytes, at most 65535 of them",
    "l": "a list that fits the wire",
    "r": "a record that fits the wire",
}


class Header(NamedTuple):
    """The first seven bytes of a message; ``size`` counts them too."""

    size: int
    type: int
    tag: Tag


def decode_header(head: bytes) -> Header:
    """The header at the beginning of ``head``.

    Raises ``ProtocolError`` if there are fewer than ``HEADER_SIZE`` bytes or ``size`` is less
    than that: no message, and no way to find where the next one begins.
    """
    if len(head) < HEADER_SIZE:
        raise ProtocolError(f"{len(head)} bytes are no message")
    header = Header._make(_HEADER.unpack_from(head))
    if header.size < HEADER_SIZE:
        raise ProtocolError(f"size {header.size} is less than a header", header.tag)
    return header


def decode(head: bytes, size: int) -> Message:
    """The message that ``head`` holds, which declared ``size`` bytes.

    ``head`` is the whole frame; of a type in ``FIXED_SIZE`` it need be no longer than that many
    bytes, and what follows them is not looked at.  The size field itself is not read again.

    Raises ``ProtocolError``, with the tag to answer: unknown type, body cut short or too long,
    ``count`` that does not match ``size``, more than 16 names.
    """
    try:
        decoder = DECODERS[head[4]]
    except IndexError:
        raise malformed(head, "cut short in the header") from None
    except KeyError:
        raise malformed(head, f"unknown message type {head[4]}") from None
    try:
        return decoder(head, size)
    except struct.error:
        name = decoder.__name__.removeprefix("_decode_").capitalize()
        raise malformed(head, f"{name}: wrong length") from None


def decode_frame(frame: bytes) -> Message:
    """The message of a whole frame, payload included, whose size field must be its length.

    Raises ``ProtocolError`` as ``decode`` and ``decode_header`` do.
    """
    header = decode_header(frame)
    if header.size != len(frame):
        raise ProtocolError(f"size {header.size} in a frame of {len(frame)} bytes", header.tag)
    return decode(frame, header.size)


def encode(message: Message, payload_length: int = 0) -> bytes:
    """The frame of ``message``; where it has a payload, all that comes before the payload.

    The size field counts the payload, ``message.count`` bytes.  ``payload_length`` may repeat that
    number as a cross-check; other messages must leave it 0.

    Raises ``ValueError``, which names the field, where a value does not fit the wire: a number out
    of its range, a string of more than 65535 bytes, more than 16 names, a wrong type.
    """
    try:
        frame = ENCODERS[type(message)](message)
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(_complaint(message, error)) from None
    except KeyError:
        raise ValueError(f"{type(message).__name__} is no 9P message") from None
    if payload_length and payload_length != int.from_bytes(frame[:4], "little") - len(frame):
        raise ValueError(f"a payload of {payload_length} bytes does not belong to {message}")
    return frame


def _complaint(message: Message, error: Exception) -> str:
    """Which field cannot be packed, for whoever filled it in."""
    name = type(message).__name__
    for field, letter, value in zip(message._fields, LAYOUTS[type(message)], message, strict=True):
        bits = _BITS.get(letter)
        if bits is not None:
            if not isinstance(value, int) or not 0 <= value < 1 << bits:
                return f"{name}.{field} is {value!r}, not an unsigned {bits}-bit number"
        elif letter == "s" and not (isinstance(value, bytes) and len(value) <= 0xFFFF):
            return f"{name}.{field} is not {_OTHERS[letter]}"
    return f"{name} cannot be packed: {error}"
