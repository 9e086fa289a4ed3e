"""A send whose result the kernel writes down, so that it outlives the process that sent.

sendmmsg(2) stores how many bytes of a message it has sent in the message's own header, before it
returns.  With that header in memory that the next process has, too, there is no moment in which
bytes are sent and nobody knows.
"""

from __future__ import annotations

import os
import socket
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from cffi import FFI

if TYPE_CHECKING:
    from collections.abc import Sequence

_ffi = FFI()
_ffi.cdef(
    """
    struct iovec { void *base; size_t length; };
    struct mmsghdr {
        void *name; uint32_t namelen; struct iovec *iov; size_t iovlen;
        void *control; size_t controllen; int flags, pad; uint32_t sent;
    };
    int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
    """
)
_libc: Any = _ffi.dlopen(None)
_HEADER: Final = _ffi.typeof("struct mmsghdr *")
_PIECES: Final = _ffi.typeof("struct iovec[]")

RECORD: Final = 64
"""Bytes of a ``struct mmsghdr``."""

_SENT: Final = Struct("<I")
_SENT_AT: Final = RECORD - 8
_NOT_YET: Final = 0xFFFF_FFFF


class SendRecord:
    """The record of one send."""

    def __init__(self, memory: memoryview) -> None:
        """``RECORD`` bytes, which the next process is to have."""
        self._memory: Final = memory

    @property
    def sent(self) -> int | None:
        """How many bytes were sent; ``None``: none were."""
        sent = int(_SENT.unpack_from(self._memory, _SENT_AT)[0])
        return None if sent == _NOT_YET else sent

    def begin(self) -> None:
        """Nothing has been sent."""
        _SENT.pack_into(self._memory, _SENT_AT, _NOT_YET)

    def send(self, fd: int, buffers: Sequence[memoryview | bytes]) -> int:
        """As sendmsg(2), without waiting; how many bytes were sent.  Raises ``OSError``."""
        pieces = _ffi.new(_PIECES, len(buffers))
        held = [_ffi.from_buffer(buffer) for buffer in buffers]
        for piece, buffer in zip(pieces, held, strict=True):
            piece.base, piece.length = buffer, len(buffer)
        header: Any = _ffi.cast(_HEADER, _ffi.from_buffer(self._memory))
        header.name = header.control = _ffi.NULL
        header.namelen = header.controllen = header.flags = 0
        header.iov, header.iovlen = pieces, len(buffers)
        if _libc.sendmmsg(fd, header, 1, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL) < 0:
            raise OSError(_ffi.errno, os.strerror(_ffi.errno))
        return int(header.sent)
