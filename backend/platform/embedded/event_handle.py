"""The event-channel port (``EventChannels``) on the embedded hypervisor.

The hypervisor gives each port two eventfds: the bell we hear and the bell we ring.  ``notify`` is
one ``write``.  ``fileno`` is an epoll descriptor over the bells we hear, each registered
EPOLLONESHOT: delivering one disarms it, which is the mask, and unmasking arms it again, which
delivers at once what came meanwhile.  That is the behaviour of ``/dev/xen/evtchn``.  Binding,
unbinding and restricting are hypercalls.
"""

from __future__ import annotations

import errno
import os
import select
from os import eventfd_read, eventfd_write
from typing import TYPE_CHECKING, Final

from backend.platform.embedded.handle import Handle
from backend.platform.embedded.wire import Kind
from protocol.xenpv.ids import Evtchn
from protocol.xenpv.ports import OpenChannels

if TYPE_CHECKING:
    from backend.platform.embedded.handle import Reply
    from protocol.xenpv.ids import Domid

_ARMED: Final = select.EPOLLIN | select.EPOLLONESHOT


class EmbeddedEventChannels:
    """``EventChannels`` of one domain."""

    def __init__(self, handle: Handle) -> None:
        """``handle`` is of its kind."""
        self._handle = handle
        self._epoll = select.epoll()
        self._hypervisor_fd = self._handle.fileno()
        self._epoll.register(self._hypervisor_fd, 0)  # its hang-up alone is of interest
        self._wait = self._epoll.poll
        self._arm = self._epoll.modify
        self._heard: dict[Evtchn, int] = {}
        self._rung: dict[Evtchn, int] = {}
        self._ports: dict[int, Evtchn] = {}

    def fileno(self) -> int:
        """Polls readable while an unmasked port is pending."""
        return self._epoll.fileno()

    def alloc_unbound(self, remote: Domid) -> Evtchn:
        """A new port for ``remote`` to bind to.  Raises ``OSError`` (EACCES, ENOSPC, EMFILE)."""
        return self._opened(self._handle.call("alloc_unbound", domid=remote))

    def bind_interdomain(self, remote: Domid, remote_port: Evtchn) -> Evtchn:
        """Bind to ``remote``'s port; pending at once.  ``OSError``: EINVAL, EACCES, ESRCH."""
        return self._opened(self._handle.call("bind_interdomain", domid=remote, port=remote_port))

    @classmethod
    def adopted(cls, rundir: str, domid: Domid, channels: OpenChannels) -> EmbeddedEventChannels:
        """Go on with what another process has ``described``.

        Raises ``OSError``, and ``ValueError`` where a bell is missing.
        """
        connection, *bells = channels.descriptors
        adopted = cls(Handle(rundir, Kind.EVENTS, domid, connection=connection))
        for port, heard, rung in zip(channels.ports, bells[::2], bells[1::2], strict=True):
            adopted._keep(port, heard, rung)
        return adopted

    def described(self) -> OpenChannels:
        """The connection, then of each port the bell we hear and the one we ring."""
        bells = [fd for port, heard in self._heard.items() for fd in (heard, self._rung[port])]
        return OpenChannels((self._hypervisor_fd, *bells), tuple(self._heard))

    def _opened(self, reply: Reply) -> Evtchn:
        port = Evtchn(reply.fields["port"])
        heard, rung = reply.fds
        return self._keep(port, heard, rung)

    def _keep(self, port: Evtchn, heard: int, rung: int) -> Evtchn:
        self._heard[port], self._rung[port] = heard, rung
        self._ports[heard] = port
        self._epoll.register(heard, _ARMED)
        return port

    def notify(self, port: Evtchn) -> None:
        """Make the other end pending.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        try:
            eventfd_write(self._rung[port], 1)
        except BlockingIOError:
            pass  # 2**64 - 2 events wait: one more makes no difference
        except KeyError:
            raise _not_ours(port) from None

    def pending(self) -> Evtchn | None:
        """The next pending port, now masked, or ``None``.

        Raises ``ConnectionResetError`` when the hypervisor is gone: no event will come any more.
        """
        # One at a time: what is taken from epoll and not returned yet would not poll any more.
        ready = self._wait(0, 1)
        if not ready:
            return None
        bell = ready[0][0]
        if bell == self._hypervisor_fd:
            raise ConnectionResetError(errno.ECONNRESET, "the embedded hypervisor has hung up")
        eventfd_read(bell)
        return self._ports[bell]

    def unmask(self, port: Evtchn) -> None:
        """Let ``port`` become pending.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        try:
            self._arm(self._heard[port], _ARMED)
        except KeyError:
            raise _not_ours(port) from None

    def unbind(self, port: Evtchn) -> None:
        """Close a port.  Raises ``OSError`` (ENOTCONN) for a port not of ours."""
        if port not in self._heard:
            raise _not_ours(port)
        self._forget(port)
        self._handle.call("unbind", port=port).close()

    def _forget(self, port: Evtchn) -> None:
        heard = self._heard.pop(port)
        del self._ports[heard]
        self._epoll.unregister(heard)
        os.close(heard)
        os.close(self._rung.pop(port))

    def restrict(self, domid: Domid) -> None:
        """Bind to nobody but ``domid`` from now on.  Raises ``OSError`` (EINVAL, EACCES)."""
        self._handle.call("restrict", domid=domid).close()

    def close(self) -> None:
        """Unbind everything; only once counts."""
        if self._epoll.closed:
            return
        for port in list(self._heard):
            self._forget(port)
        self._epoll.close()
        self._handle.close_politely()


def _not_ours(port: Evtchn) -> OSError:
    return OSError(errno.ENOTCONN, f"port {port} is not open on this handle")
