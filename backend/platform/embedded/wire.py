"""Packets between the embedded hypervisor and its clients, on a SOCK_SEQPACKET unix socket.

A packet is one JSON object, then, where the call has a list of numbers, a NUL byte and the numbers
as little-endian unsigned 32-bit words.  A request names its ``call``.  An answer is the results, or
``error`` (an errno) and ``text``.  Descriptors travel beside answers (SCM_RIGHTS), never requests.
A ``serial`` is given back with the answer: a process that goes on with the connection of another,
which was killed, tells by it whose answer that is.

The first request of a connection is ``open`` with the kind of handle and the ``domid`` the client
acts for.  Nothing proves that domid: who may open the socket (mode 0600) may act for every domain.
It is a tool for development and tests, for one user.

Runs: pages of a domain's memory are told as words of ``frame << 2 | (length - 1)``, 1 to 4
neighbouring frames each, so that a list of 32768 pages fits a packet.
"""

from __future__ import annotations

import enum
import json
import sys
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOCKET: Final = "hypervisor"
"""The socket's name in the run directory."""

MAX_PACKET: Final = 200_000
"""Longest packet: what fits a unix socket's default send buffer (212,992 bytes) with room."""

MAX_SERIAL: Final = (1 << 64) - 1

MAX_PAGES: Final = 32_768
"""Pages of one call: no domain can have granted more (see ``grants.GRANTS``)."""

CALL_TIMEOUT: Final = 10.0
"""Seconds a client waits for an answer, which takes well under a millisecond to give."""

MAX_RUN: Final = 4

UNDO: Final = {
    "map": ("unmap", "number"),
    "share": ("end", "number"),
    "alloc_unbound": ("unbind", "port"),
    "bind_interdomain": ("unbind", "port"),
}
"""Calls that are answered with descriptors: what takes each back, and which result it needs."""


class Kind(enum.StrEnum):
    """What a connection is for; each kind has its own calls."""

    CONTROL = "control"
    MAPPER = "mapper"
    SHARER = "sharer"
    EVENTS = "events"


class PacketError(ValueError):
    """A packet is not of this form."""


class Packet(NamedTuple):
    """A decoded packet: the JSON object, and the words after it."""

    fields: dict[str, Any]
    words: tuple[int, ...]


def encode(fields: dict[str, Any], words: Iterable[int] = ()) -> bytes:
    """A packet's bytes.  Raises ``OverflowError`` for a word that is not unsigned 32-bit."""
    head = json.dumps(fields, separators=(",", ":")).encode()
    body = array("I", words)
    if not body:
        return head
    if sys.byteorder != "little":
        body.byteswap()
    return head + b"\0" + body.tobytes()


def decode(packet: bytes) -> Packet:
    """Take a packet apart.  Raises ``PacketError``, whatever the bytes are."""
    head, _, tail = packet.partition(b"\0")
    try:
        fields = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"not a JSON object: {error}") from None
    if not isinstance(fields, dict):
        raise PacketError("not a JSON object")
    if len(tail) % 4:
        raise PacketError("the words are cut short")
    words = array("I", tail)
    if sys.byteorder != "little":
        words.byteswap()
    return Packet(fields, tuple(words))


def run_word(frame: int, length: int) -> int:
    """One run of ``length`` frames from ``frame`` on."""
    return frame << 2 | (length - 1)


def run_of(word: int) -> tuple[int, int]:
    """The first frame and the length of a run."""
    return word >> 2, (word & 3) + 1


def merge_runs(frames: Iterable[int]) -> Iterator[int]:
    """Frames in a given order as run words: neighbours that follow each other become one run."""
    start, length = -1, 0
    for frame in frames:
        if length and frame == start + length and length < MAX_RUN:
            length += 1
            continue
        if length:
            yield run_word(start, length)
        start, length = frame, 1
    if length:
        yield run_word(start, length)
