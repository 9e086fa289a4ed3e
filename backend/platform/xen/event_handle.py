"""The event-channel port (``EventChannels``): a handle of ``/dev/xen/evtchn``, by libxenevtchn.

What each request needs of it, ``pending``, ``unmask`` and ``notify``, is asked of the driver
itself: read(2), write(2) and an ioctl, as the library does on Linux and no more.  Called through
cffi, the three took a seventh of all instructions by which a worker answers a Tread of 4 KiB.

Source: Linux ``include/uapi/xen/evtchn.h``, ``drivers/xen/evtchn.c``.
"""

from __future__ import annotations

import errno
import os
from fcntl import ioctl
from struct import Struct
from typing import TYPE_CHECKING, Final, NoReturn

from backend.platform.xen.libraries import (
    EVTCHN,
    adopt_handle,
    failed,
    load,
    open_handle,
    silence,
)
from protocol.xenpv.ids import Evtchn
from protocol.xenpv.ports import OpenChannels

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid


NOTIFY: Final = 4 << 16 | ord("E") << 8 | 4
"""``IOCTL_EVTCHN_NOTIFY``: ``_IOC(_IOC_NONE, 'E', 4, 4)``."""
_PORT: Final = Struct("=I")


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
        known = () if adopted is None else adopted.ports
        self._ports = {port: _packed(port) for port in known}
        """What is open, and each as the driver takes it."""
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
        self._ports[port] = _packed(port)
        return port

    def notify(self, port: Evtchn) -> None:
        """Make the other end pending.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        try:
            ioctl(self._fd, NOTIFY, self._ports[port])
        except KeyError:
            _not_open(port)

    def pending(self) -> Evtchn | None:
        """The next pending port, now masked, or ``None``."""
        while True:
            try:
                (port,) = _PORT.unpack(os.read(self._fd, _PORT.size))
            except BlockingIOError:
                return None
            if port in self._ports:
                return Evtchn(port)
            # The driver keeps events of a port that was unbound since.

    def unmask(self, port: Evtchn) -> None:
        """Let ``port`` become pending.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        try:
            os.write(self._fd, self._ports[port])
        except KeyError:  # the driver would ignore it
            _not_open(port)

    def unbind(self, port: Evtchn) -> None:
        """Close a port.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        if self._library.xenevtchn_unbind(self._handle, port):
            raise failed(f"port {port}")
        self._ports.pop(port, None)

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
            self._fd = -1
            self._library.xenevtchn_close(self._handle)


def _packed(port: Evtchn) -> bytearray:
    # Not bytes: for what cannot be written to, fcntl.ioctl takes three times as long.
    return bytearray(_PORT.pack(port))


def _not_open(port: Evtchn) -> NoReturn:
    raise OSError(errno.ENOTCONN, f"port {port} is not open on this handle") from None
