"""XenStore's packets on a byte stream: a 16-byte header and at most 4096 bytes of payload.

Source: ``/usr/include/xen/io/xs_wire.h`` (``struct xsd_sockmsg``, ``enum xsd_sockmsg_type``,
``xsd_errors``).  All integers are in the byte order of the machine: both ends are on it.
"""

from __future__ import annotations

import errno
import struct
from enum import IntEnum
from typing import NamedTuple

import construct

PAYLOAD_MAX = 4096

HEADER = construct.Struct(
    "type" / construct.Int32un,
    "req_id" / construct.Int32un,
    "tx_id" / construct.Int32un,
    "len" / construct.Int32un,
)
"""``struct xsd_sockmsg``: the definition.  ``FAST_HEADER`` says the same; a test compares them."""

FAST_HEADER = struct.Struct("=IIII")
HEADER_SIZE = FAST_HEADER.size


class Op(IntEnum):
    """``enum xsd_sockmsg_type``."""

    CONTROL = 0
    DIRECTORY = 1
    READ = 2
    GET_PERMS = 3
    WATCH = 4
    UNWATCH = 5
    TRANSACTION_START = 6
    TRANSACTION_END = 7
    INTRODUCE = 8
    RELEASE = 9
    GET_DOMAIN_PATH = 10
    WRITE = 11
    MKDIR = 12
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16
    IS_DOMAIN_INTRODUCED = 17
    RESUME = 18
    SET_TARGET = 19
    RESET_WATCHES = 21
    DIRECTORY_PART = 22


ERROR_NAMES = {
    getattr(errno, name): name.encode()
    for name in (
        *("EINVAL", "EACCES", "EEXIST", "EISDIR", "ENOENT", "ENOMEM", "ENOSPC", "EIO"),
        *("ENOTEMPTY", "ENOSYS", "EROFS", "EBUSY", "EAGAIN", "EISCONN", "E2BIG", "EPERM"),
    )
}
"""``xsd_errors``: an error crosses the wire by name, and only these have one."""


class Packet(NamedTuple):
    """One message.  ``op`` may be any 32-bit number: the peer chose it."""

    op: int
    req_id: int
    tx_id: int
    payload: bytes

    def encode(self) -> bytes:
        """Bytes for the wire; the sender has checked that the payload is not too long."""
        header = FAST_HEADER.pack(self.op, self.req_id, self.tx_id, len(self.payload))
        return header + self.payload


def error_payload(error: OSError) -> bytes:
    """What an ERROR packet carries; an errno without a name on the wire goes as EINVAL."""
    return ERROR_NAMES.get(error.errno or 0, b"EINVAL") + b"\0"


class WireError(Exception):
    """The stream cannot be followed any further; the connection must be closed."""


class Decoder:
    """Bytes in, packets out.  Holds at most what ``feed`` was given and ``next`` did not return."""

    def __init__(self) -> None:
        """Start at a packet boundary."""
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Append what was received."""
        del self._buffer[: self._start]
        self._start = 0
        self._buffer += data

    def next(self) -> Packet | None:
        """The next whole packet, or ``None`` until more bytes come.

        Raises ``WireError`` as soon as a header announces more than ``PAYLOAD_MAX`` bytes.
        """
        body = self._start + HEADER_SIZE
        if len(self._buffer) < body:
            return None
        op, req_id, tx_id, length = FAST_HEADER.unpack_from(self._buffer, self._start)
        if length > PAYLOAD_MAX:
            raise WireError(f"payload of {length} bytes announced, at most {PAYLOAD_MAX} allowed")
        if len(self._buffer) < body + length:
            return None
        self._start = body + length
        return Packet(op, req_id, tx_id, bytes(self._buffer[body : self._start]))
