"""The event-channel port (``EventChannels``): a handle of ``/dev/xen/evtchn``, by libxenevtchn."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from backend.platform.xen.libraries import (
    EVTCHN,
    adopt_handle,
    failed,
    ffi,
    load,
    open_handle,
    silence,
)
from protocol.xenpv.ids import Evtchn
from protocol.xenpv.ports import OpenChannels

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid


def load_for_events() -> None:
    """Have the libraries here, as long as they can be found.  Raises ``OSError``."""
    load("evtchn")
    silence()


class XenEventChannels:
    """``EventChannels``.  The driver masks a port when it is read, and unmasks it when written."""

    def __init__(self, adopted: OpenChannels | None = None) -> None:
        """A new handle, or that of another process, which uses it no more.  Raises ``OSError``."""
        self._library = load("evtchn")
        if adopted is None:
            self._handle = open_handle(self._library.xenevtchn_open, EVTCHN)
        else:
            (descriptor,) = adopted.descriptors
            self._handle = adopt_handle(self._library.xenevtchn_fdopen, descriptor)
        self._fd: int = self._library.xenevtchn_fd(self._handle)
        os.set_blocking(self._fd, False)
        self._notify = self._library.xenevtchn_notify
        self._pending = self._library.xenevtchn_pending
        self._ports: set[Evtchn] = set(() if adopted is None else adopted.ports)
        self._open = True

    def fileno(self) -> int:
        """Polls readable while an unmasked port is pending."""
        return self._fd

    def alloc_unbound(self, remote: Domid) -> Evtchn:
        """A new port for ``remote`` to bind to.  Raises ``OSError`` (EACCES, ENOSPC, ESRCH)."""
        port = self._library.xenevtchn_bind_unbound_port(self._handle, remote)
        return self._opened(port, f"cannot offer a port to domain {remote}")

    def bind_interdomain(self, remote: Domid, remote_port: Evtchn) -> Evtchn:
        """Bind to ``remote``'s port; pending at once.  ``OSError``: EINVAL, EACCES, ESRCH."""
        port = self._library.xenevtchn_bind_interdomain(self._handle, remote, remote_port)
        return self._opened(port, f"port {remote_port} of domain {remote}")

    def _opened(self, result: int, what: str) -> Evtchn:
        if result < 0:
            raise failed(what)
        port = Evtchn(result)
        self._ports.add(port)
        return port

    def notify(self, port: Evtchn) -> None:
        """Make the other end pending.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        if self._notify(self._handle, port):
            raise failed(f"port {port}")

    def pending(self) -> Evtchn | None:
        """The next pending port, now masked, or ``None``."""
        while True:
            port = self._pending(self._handle)
            if port in self._ports:
                return Evtchn(port)
            if port < 0:
                if ffi.errno == errno.EAGAIN:
                    return None
                raise failed("event channels")
            # The driver keeps events of a port that was unbound since.

    def unmask(self, port: Evtchn) -> None:
        """Let ``port`` become pending.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        # The driver ignores a port that it does not know.
        if port not in self._ports:
            raise OSError(errno.ENOTCONN, f"port {port} is not open on this handle")
        if self._library.xenevtchn_unmask(self._handle, port):
            raise failed(f"port {port}")

    def unbind(self, port: Evtchn) -> None:
        """Close a port.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        if self._library.xenevtchn_unbind(self._handle, port):
            raise failed(f"port {port}")
        self._ports.discard(port)

    def restrict(self, domid: Domid) -> None:
        """Bind to nobody but ``domid`` from now on.  Raises ``OSError`` (EINVAL, EACCES)."""
        if self._library.xenevtchn_restrict(self._handle, domid):
            raise failed(f"event channels for domain {domid} only")

    def described(self) -> OpenChannels:
        """The driver knows ports, and whom we may bind to, by the open file."""
        return OpenChannels((self._fd,), tuple(sorted(self._ports)))

    def close(self) -> None:
        """Unbind everything; only once counts."""
        if self._open:
            self._open = False
            self._ports.clear()
            self._library.xenevtchn_close(self._handle)
