"""Connections to XenStore, opened by pyxs's classes with what they lack.

pyxs's unix-socket transport waits without a bound in ``connect`` and leaks its socket when that
fails, so it gets another transport.  Its XenBus transport (``/dev/xen/xenbus`` in a guest) is used
as it is.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

import pyxs.connection
from pyxs.exceptions import PyXSError


class _UnixTransport:
    """What pyxs asks of a transport but reading and writing: ``store_link`` uses the descriptor."""

    def __init__(self, path: str, timeout: float) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.settimeout(timeout)
            self._sock.connect(path)
        except BaseException:
            self._sock.close()
            raise

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()


class _UnixConnection(pyxs.connection.UnixSocketConnection):  # type: ignore[misc] # pyxs has no types
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__(path)
        self._timeout = timeout

    def create_transport(self) -> _UnixTransport:
        return _UnixTransport(self.path, self._timeout)


class Channel:
    """An open connection as a non-blocking descriptor."""

    def __init__(self, path: str, *, timeout: float, xenbus: bool) -> None:
        """Connect to a unix socket, or open a XenBus device.  Raises ``OSError``."""
        self.is_device: Final = xenbus
        self._connection = (
            pyxs.connection.XenBusConnection(path) if xenbus else _UnixConnection(path, timeout)
        )
        try:
            self._connection.connect()
        except PyXSError as error:
            raise _from_pyxs(error, path) from None
        self.fd: int = self._connection.fileno()
        os.set_blocking(self.fd, False)

    def close(self) -> None:
        """Disconnect; ``fd`` is invalid from now on."""
        with contextlib.suppress(PyXSError):
            self._connection.close()


def _from_pyxs(error: PyXSError, path: str) -> OSError:
    """What lies behind: pyxs makes a text of an ``OSError``, which says less."""
    cause = error.__context__
    if isinstance(cause, OSError):
        return OSError(cause.errno or 0, cause.strerror or str(cause), path)
    return OSError(str(error))
