"""A capture of the 9P messages of all devices, which Wireshark and tshark open: ``--trace FILE``.

The file is a pcap of made-up TCP on port 564, because that is where the 9P dissector listens.
Each opening of a device is one TCP connection, handshake included, so that a device whose worker
was replaced begins a stream of its own.  The addresses say whose messages they are:

- server ``10.255.0.1``, port 564;
- client ``10.H.L.D``, port ``1024 + R``, where ``H`` and ``L`` are the high and the low byte of
  the domid, ``D`` is the devid's low byte and ``R`` what is left of the devid above it, modulo
  64512.  Domain 5's device 0 is ``10.0.5.0``: ``tshark -Y ip.addr==10.0.5.0 -r FILE``.

Several processes append to one file: each group of records is a single ``write`` to a descriptor
opened with O_APPEND, so that none of them is torn.  The file holds what the guests wrote and read:
it is created for its owner alone.
"""

from __future__ import annotations

import logging
import os
import time
from struct import Struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from protocol.xenpv.ids import Devid, Domid

log = logging.getLogger(__name__)

SEGMENT: Final = 57344
"""Most bytes of 9P in one packet: an IPv4 packet holds no more than 65535 in all."""

SERVER_PORT: Final = 564
SERVER_ADDRESS: Final = bytes((10, 255, 0, 1))

_FILE_HEADER: Final = Struct("<IHHiIII").pack(
    0xA1B23C4D,  # pcap, little-endian, time stamps in nanoseconds
    2,  # version 2.4
    4,
    0,  # time zone
    0,  # accuracy
    262144,  # longest packet
    101,  # LINKTYPE_RAW: each packet begins with its IP header
)
_RECORD: Final = Struct("<IIII")  # seconds, nanoseconds, bytes here, bytes on the wire
_IPV4: Final = Struct("!BBHHHBBH4s4s")
_TCP: Final = Struct("!HHIIBBHHH")
_PSEUDO: Final = Struct("!4s4sBBH")

_SYN: Final = 0x02
_PSH: Final = 0x08
_ACK: Final = 0x10


class _End:
    """One end of the made-up connection."""

    def __init__(self, address: bytes, port: int, sequence: int) -> None:
        self.address = address
        self.port = port
        self.next = sequence


class TraceWriter:
    """Appends one device's messages to the capture; for one thread.

    It never fails a request: when the file cannot be written it says so once and then does
    nothing.
    """

    def __init__(self, descriptor: int | None, domid: Domid, devid: Devid) -> None:
        """Takes the descriptor over; use ``open``."""
        self._descriptor = descriptor
        self._packets = 0
        # A new connection must not begin with the numbers of the one before.
        start = time.time_ns() // 1000 & 0xFFFF_FFFF
        client = bytes((10, domid >> 8 & 0xFF, domid & 0xFF, devid & 0xFF))
        self._guest = _End(client, 1024 + (devid >> 8) % 64512, start)
        self._server = _End(SERVER_ADDRESS, SERVER_PORT, ~start & 0xFFFF_FFFF)
        self._append(
            self._packet(self._guest, self._server, _SYN, b""),
            self._packet(self._server, self._guest, _SYN | _ACK, b""),
            self._packet(self._guest, self._server, _ACK, b""),
        )

    @staticmethod
    def create(path: str) -> None:
        """Make the file, empty but for its header; what was there is lost.  Raises ``OSError``."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            os.write(descriptor, _FILE_HEADER)
        finally:
            os.close(descriptor)

    @classmethod
    def open(cls, path: str, domid: Domid, devid: Devid) -> Self:
        """Begin a device's stream in a file that ``create`` made.

        A file that cannot be opened is logged; the writer then does nothing.
        """
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            log.warning("no trace: %s: %s", path, error.strerror)
            return cls(None, domid, devid)
        return cls(descriptor, domid, devid)

    @property
    def active(self) -> bool:
        """Whether messages still reach the file."""
        return self._descriptor is not None

    def request(self, parts: Sequence[bytes | memoryview]) -> None:
        """A whole message of the guest, in one or more pieces."""
        if self._descriptor is not None:
            self._message(self._guest, self._server, parts)

    def reply(self, parts: Sequence[bytes | memoryview]) -> None:
        """A whole message to the guest, in one or more pieces."""
        if self._descriptor is not None:
            self._message(self._server, self._guest, parts)

    def close(self) -> None:
        """Give the file back; a second time does nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _message(self, source: _End, target: _End, parts: Sequence[bytes | memoryview]) -> None:
        data = b"".join(parts)  # once: the guest may go on writing where the parts lie
        self._append(
            *(
                self._packet(source, target, _PSH | _ACK, data[at : at + SEGMENT])
                for at in range(0, len(data), SEGMENT)
            )
        )

    def _packet(self, source: _End, target: _End, flags: int, data: bytes) -> bytes:
        """One pcap record: IPv4, TCP, ``data``; moves the sender's sequence number."""
        ports = (source.port, target.port)
        numbers = (source.next, target.next if flags & _ACK else 0)
        length = _TCP.size + len(data)
        pseudo = _PSEUDO.pack(source.address, target.address, 0, 6, length)
        tcp = _TCP.pack(*ports, *numbers, 0x50, flags, 0xFFFF, 0, 0)
        tcp = _TCP.pack(*ports, *numbers, 0x50, flags, 0xFFFF, _checksum(pseudo + tcp + data), 0)
        total = _IPV4.size + length
        addresses = (source.address, target.address)
        fixed = (0x45, 0, total, self._packets & 0xFFFF, 0x4000, 64, 6)
        ip = _IPV4.pack(*fixed, _checksum(_IPV4.pack(*fixed, 0, *addresses)), *addresses)
        source.next = (source.next + (1 if flags & _SYN else len(data))) & 0xFFFF_FFFF
        self._packets += 1
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        return b"".join((_RECORD.pack(seconds, nanoseconds, total, total), ip, tcp, data))

    def _append(self, *records: bytes) -> None:
        if self._descriptor is None:
            return
        group = b"".join(records)
        try:
            written = os.write(self._descriptor, group)
        except OSError as error:
            reason = error.strerror
        else:
            if written == len(group):
                return
            reason = "only a part could be written; the file's end cannot be read"
        log.warning("the trace ends here: %s", reason)
        self.close()


def _checksum(data: bytes) -> int:
    """The Internet checksum, RFC 1071.

    A sum of 16-bit words with end-around carry is the remainder by 65535 of all of them as one
    number, since 65536 leaves 1; only all zeros would leave a true 0, and no header is all zeros.
    """
    if len(data) % 2:
        data += b"\0"
    return 0xFFFF - (int.from_bytes(data, "big") % 0xFFFF or 0xFFFF)
