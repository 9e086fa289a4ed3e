"""One process at a time uses a device: a second would take the rings away from the first.

The lock is a listening socket in Linux's abstract namespace: it goes with its process, however
that ends, and leaves no file.  Whoever finds it taken connects to it, which tells who has it, and
waits for the hang-up.
"""

from __future__ import annotations

import errno
import hashlib
import os
import select
import socket
import struct
from time import monotonic


class DeviceLock:
    """The right to use the device called ``name`` (any text), until ``close``."""

    def __init__(self, name: str, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for it.  Raises ``OSError`` (EBUSY) with the owner."""
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()
        self._address = f"\0xen-fileproxy-front/{digest[:32]}"
        deadline = monotonic() + timeout
        while (taken := self._take()) is None:
            in_time = monotonic() < deadline
            owner = self._wait_for_owner(deadline)
            if not in_time:
                raise OSError(errno.EBUSY, f"in use by {owner}; wait for it, or end it", name)
        self._socket = taken

    def _take(self) -> socket.socket | None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(self._address)
            listener.listen()
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        except BaseException:
            listener.close()
            raise
        return listener

    def _wait_for_owner(self, deadline: float) -> str:
        """Wait until the owner lets go or the time is over; who it is."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as visitor:
            visitor.setblocking(False)
            try:
                visitor.connect(self._address)
            except (ConnectionRefusedError, BlockingIOError):
                # It has just let go, or not listened yet; or more wait than its queue holds.
                return "another process"
            pid, _, _ = struct.unpack(
                "3i", visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            )
            poll = select.poll()
            poll.register(visitor, 0)  # POLLHUP and POLLERR come unasked
            poll.poll(max(0.0, deadline - monotonic()) * 1000)
            return f"process {pid}"

    def close(self) -> None:
        """Let go; idempotent."""
        self._socket.close()
