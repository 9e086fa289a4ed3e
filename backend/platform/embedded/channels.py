"""The hypervisor's side of event channels: ports, and the pair of bells each channel rings.

A channel has two eventfds, its bells.  Each end waits on one and rings the other, so ``notify`` is
one ``write`` from process to process and the hypervisor is not asked.  The pair belongs to the
channel and not to either end: when one end closes, the other keeps ringing into a bell that nobody
hears, and whoever binds next gets that bell, rung once at binding in case something was missed.

Source: ``xen/include/public/event_channel.h``; Xen's ``evtchn_bind_interdomain`` and
``evtchn_close`` (a closed end leaves the other ``ECS_UNBOUND`` towards the same domain).
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from backend.platform.embedded.memory import Pool
from protocol.xenpv.ids import Evtchn

if TYPE_CHECKING:
    from protocol.xenpv.ids import Domid

PORTS: Final = 4095
"""A domain's ports: those of Xen's two-level ABI, without port 0."""


class Channel:
    """Two bells; ``ends`` counts the ports that use them."""

    __slots__ = ("bells", "ends")

    def __init__(self) -> None:
        first = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            second = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            os.close(first)
            raise
        self.bells: Final = (first, second)
        self.ends = 1

    def let_go(self) -> None:
        """One end closed; after the second the bells go too."""
        self.ends -= 1
        if self.ends == 0:
            for bell in self.bells:
                os.close(bell)


class Port:
    """One end: the channel, which of its bells this end hears, and the other end if bound."""

    __slots__ = ("channel", "domid", "number", "peer", "remote", "side")

    def __init__(
        self, domid: Domid, number: Evtchn, remote: Domid, channel: Channel, side: int
    ) -> None:
        self.domid: Final = domid
        self.number: Final = number
        self.remote: Final = remote
        self.channel: Final = channel
        self.side: Final = side
        self.peer: Port | None = None

    @property
    def bells(self) -> tuple[int, int]:
        """The eventfd this end hears, and the one it rings."""
        return self.channel.bells[self.side], self.channel.bells[1 - self.side]

    def describe(self) -> str:
        """For a list of what is left."""
        if self.peer is None:
            return f"port {self.number} unbound, for domain {self.remote}"
        return f"port {self.number} bound to port {self.peer.number} of domain {self.remote}"


class PortTable:
    """A domain's ports."""

    def __init__(self, domid: Domid, limit: int = PORTS) -> None:
        self._domid = domid
        # Each domain starts elsewhere, so that a local port is never the remote one by chance.
        first = domid * 61
        numbers = [Evtchn(1 + (first + step) % limit) for step in range(limit)]
        self._free: Pool[Evtchn] = Pool(numbers, "event channels")
        self._ports: dict[Evtchn, Port] = {}

    def alloc_unbound(self, remote: Domid) -> Port:
        """A new port that ``remote`` may bind to.  Raises ``OSError`` (ENOSPC, EMFILE)."""
        number = self._free.take()
        try:
            channel = Channel()
        except OSError:
            self._free.put_back(number)
            raise
        return self._add(number, remote, channel, 0)

    def offered(self, number: int, to: Domid) -> Port:
        """An unbound port that ``to`` may bind to.  Raises ``OSError`` (EINVAL)."""
        port = self._ports.get(Evtchn(number))
        if port is None or port.peer is not None or port.remote != to:
            raise OSError(
                errno.EINVAL,
                f"domain {self._domid} offers no port {number} to domain {to}",
            )
        return port

    def bind(self, far: Port) -> Port:
        """A new port bound to ``far`` and pending at once.  Raises ``OSError`` (ENOSPC)."""
        number = self._free.take()
        near = self._add(number, far.domid, far.channel, 1 - far.side)
        far.channel.ends += 1
        near.peer, far.peer = far, near
        os.eventfd_write(near.bells[0], 1)
        return near

    def _add(self, number: Evtchn, remote: Domid, channel: Channel, side: int) -> Port:
        port = self._ports[number] = Port(self._domid, number, remote, channel, side)
        return port

    def close(self, port: Port) -> None:
        """Close a port; its other end becomes unbound and may be bound to again."""
        del self._ports[port.number]
        self._free.put_back(port.number)
        if port.peer is not None:
            port.peer.peer = None
            port.peer = None
        port.channel.let_go()
