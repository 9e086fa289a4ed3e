"""Descriptors beside a packet (SCM_RIGHTS).

``socket.recv_fds`` drops the flags that it is given (Python 3.11).
"""

from __future__ import annotations

import socket
from array import array


def receive(
    end: socket.socket, size: int, most: int, flags: int = 0
) -> tuple[bytes, list[int], int]:
    """A packet of up to ``size`` bytes, up to ``most`` descriptors, and what recvmsg(2) flagged.

    The descriptors are the caller's, and close-on-exec.  Raises ``OSError``.
    """
    room = socket.CMSG_LEN(most * array("i").itemsize)
    packet, beside, flagged, _ = end.recvmsg(size, room, flags | socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for level, kind, data in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
    return packet, list(descriptors), flagged
