"""Counts the messages in a capture of ``serve --trace``: which of them a client was seen using.

Use: ``python -m tools.linux_guest.messages build/interop/trace.pcap``.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, Final

from protocol.ninep.codec import HEADER_SIZE, decode, decode_header
from protocol.ninep.messages import Tversion
from protocol.ninep.schema import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final = {message.number: message.name for message in MESSAGES}
_RECORD: Final = Struct("<IIII")
_IP_AND_TCP: Final = 40
"""Bytes before the data: ``backend/trace.py`` writes neither options nor anything else."""


def packets(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Every packet that has data: its addresses and ports, and the data."""
    file.read(24)
    while len(head := file.read(_RECORD.size)) == _RECORD.size:
        packet = file.read(_RECORD.unpack(head)[2])
        if len(packet) > _IP_AND_TCP:
            yield packet[12:24], packet[_IP_AND_TCP:]


def count(file: BinaryIO) -> dict[str, Counter[str]]:
    """By dialect, how often each request was sent."""
    dialects: dict[bytes, str] = {}
    pending: defaultdict[bytes, bytes] = defaultdict(bytes)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for stream, data in packets(file):
        pending[stream] += data
        while len(pending[stream]) >= HEADER_SIZE:
            header = decode_header(pending[stream][:HEADER_SIZE])
            if len(pending[stream]) < header.size:
                break
            frame, pending[stream] = pending[stream][: header.size], pending[stream][header.size :]
            name = _NAMES[header.type]
            if name == "Tversion" and isinstance(message := decode(frame, len(frame)), Tversion):
                dialects[stream] = message.version.decode(errors="replace")
            if name.startswith("T"):
                counts[dialects.get(stream, "before Tversion")][name] += 1
    return counts


def main() -> None:
    """Print a line per dialect and message."""
    with open(sys.argv[1], "rb") as file:
        counts = count(file)
    for dialect, messages in counts.items():
        for name, number in sorted(messages.items()):
            print(f"{dialect:16} {name:14} {number:8}")


if __name__ == "__main__":
    main()
