"""A XenStore server for development and tests: the real protocol, on unix sockets.

Each socket belongs to a domain, and a connection to it is that domain.  Differences from
xenstored: a domain may have several connections, each with its own watches and transactions (as the
kernel's ``/dev/xen/xenbus`` gives its users); CONTROL knows ``print`` and ``help`` only; nothing is
delayed to ration a domain's writes; nothing is kept over a restart.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import stat
from typing import TYPE_CHECKING

from backend.platform.embedded.xenstore_connection import Connection
from backend.platform.embedded.xenstore_state import State
from backend.platform.embedded.xenstore_toolstack import ToolstackTree

if TYPE_CHECKING:
    from backend.platform.embedded.xenstore_limits import Limits
    from protocol.xenpv.ids import Domid

BACKLOG = 128


class XenStoreServer:
    """Serves on the caller's selector: each registered key's ``data`` is called with the mask."""

    def __init__(self, selector: selectors.BaseSelector, limits: Limits | None = None) -> None:
        """An empty store without sockets."""
        self.selector = selector
        self.state = State(limits)
        self._listeners: dict[int, tuple[socket.socket, str]] = {}
        self._connections: set[Connection] = set()
        self._spare = _spare()
        self.tree = ToolstackTree(self.state)

    def listen(self, path: str, domid: Domid) -> None:
        """Accept connections of ``domid`` at ``path``; a stale socket there is replaced.

        Raises ``OSError``: EADDRINUSE if the domain has a socket already or ``path`` is something
        else than a socket, ENAMETOOLONG, and whatever ``bind`` says.
        """
        if domid in self._listeners:
            raise OSError(errno.EADDRINUSE, f"domain {domid} has a XenStore socket already", path)
        sock = _listening_socket(path)
        self._listeners[domid] = (sock, path)
        self.state.existing.add(domid)
        self.selector.register(sock, selectors.EVENT_READ, lambda _mask: self._accept(sock, domid))

    def unlisten(self, domid: Domid) -> None:
        """Accept no more connections of a domain; those there are stay."""
        sock, path = self._listeners.pop(domid, (None, ""))
        if sock is not None:
            self._stop_listening(sock, path)

    def introduce(self, domid: Domid) -> None:
        """A domain has come: ``@introduceDomain``."""
        self.state.introduce(domid)

    def release(self, domid: Domid) -> None:
        """A domain is gone: connections, socket, nodes it owns, what others granted it; then
        ``@releaseDomain``.  Raises ``OSError`` EINVAL for Dom0.
        """
        if domid == 0:
            raise OSError(errno.EINVAL, "Dom0 cannot be released")
        self.disconnect(domid)
        self.unlisten(domid)
        self.state.release(domid)

    def close(self) -> None:
        """End all connections and remove the sockets."""
        for connection in list(self._connections):
            connection.close()
        for domid in list(self._listeners):
            sock, path = self._listeners.pop(domid)
            self._stop_listening(sock, path)
        os.close(self._spare)

    def connections(self, domid: Domid) -> int:
        """How many connections a domain has now."""
        return self.state.usage.connections[domid]

    def reset(self, domid: int) -> None:
        """Drop the watches and transactions of a domain's connections."""
        for connection in list(self._connections):
            if connection.domid == domid:
                connection.session.reset()

    def disconnect(self, domid: int) -> None:
        """End a domain's connections."""
        for connection in list(self._connections):
            if connection.domid == domid:
                connection.close()

    def closed(self, connection: Connection) -> None:
        """Told by a connection that it has been closed."""
        self._connections.discard(connection)
        self.state.usage.give_back(self.state.usage.connections, connection.domid)

    def _accept(self, listener: socket.socket, domid: int) -> None:
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            self._turn_away(listener)
            return
        usage = self.state.usage
        try:
            usage.take(usage.connections, usage.limits.connections, domid)
        except OSError:
            sock.close()
            return
        self._connections.add(Connection(sock, domid, self))

    def _turn_away(self, listener: socket.socket) -> None:
        """No descriptor is left: hang up on the client, or it would be ready again for ever."""
        os.close(self._spare)
        with contextlib.suppress(OSError):
            listener.accept()[0].close()
        self._spare = _spare()

    def _stop_listening(self, sock: socket.socket, path: str) -> None:
        self.selector.unregister(sock)
        sock.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _spare() -> int:
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def _listening_socket(path: str) -> socket.socket:
    if len(os.fsencode(path)) > 107:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Only this user may act for the domain; Linux takes the file's mode from the socket's.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(path)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
