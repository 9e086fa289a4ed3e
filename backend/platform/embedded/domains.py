"""The hypervisor's state: domains, the clients that act for them, and what each client holds.

No sockets here.  A client is one connection, one handle; when it goes, for whatever reason,
``Client.release`` gives back all it held, so nothing depends on a process dying politely.
"""

from __future__ import annotations

import errno
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

from backend.platform.embedded.channels import PortTable
from backend.platform.embedded.grants import GrantTable
from backend.platform.embedded.wire import Kind
from protocol.xenpv.ids import DOM0, DOMID_FIRST_RESERVED, Domid

if TYPE_CHECKING:
    from collections.abc import Callable

    from backend.platform.embedded.channels import Port
    from backend.platform.embedded.grants import Mapping, Share
    from protocol.xenpv.ids import Evtchn


class Toolstack(Protocol):
    """What happens around a domain's life outside the hypervisor: its nodes in XenStore."""

    def created(self, domid: Domid) -> None:
        """A domain was created: give it its socket and nodes, introduce it.  May raise OSError."""

    def destroyed(self, domid: Domid) -> None:
        """A domain is gone: release it, take its nodes and socket away."""


class Domain:
    """A domain's tables."""

    def __init__(self, domid: Domid) -> None:
        self.domid: Final = domid
        self.grants: Final = GrantTable(domid)
        self.ports: Final = PortTable(domid)


class Client:
    """One connection: on whose behalf, for what, and all it holds."""

    def __init__(self, kind: Kind, domain: Domain, pid: int, hang_up: Callable[[], None]) -> None:
        self.kind: Final = kind
        self.domain: Final = domain
        self.pid: Final = pid
        self.hang_up: Final = hang_up
        self.shares: Final[dict[int, Share]] = {}
        self.mappings: Final[dict[int, Mapping]] = {}
        self.ports: Final[dict[Evtchn, Port]] = {}
        self.restricted_to: Domid | None = None
        self._numbers = count(1)

    def number(self) -> int:
        """A fresh number for a share or a mapping of this client."""
        return next(self._numbers)

    def release(self) -> None:
        """Give everything back; harmless when there is nothing."""
        while self.mappings:
            self.mappings.popitem()[1].let_go()
        while self.shares:
            self.domain.grants.end(self.shares.popitem()[1])
        while self.ports:
            self.domain.ports.close(self.ports.popitem()[1])

    def leaks(self) -> list[str]:
        """What it holds, for people."""
        held = [
            f"{share.region.count} pages granted to domain {share.permitted}"
            for share in self.shares.values()
        ]
        held += [
            f"{len(mapping.grefs)} pages of domain {mapping.regions[0].domid} mapped"
            for mapping in self.mappings.values()
        ]
        held += [port.describe() for port in self.ports.values()]
        held.append(f"a handle ({self.kind})")
        return [f"domain {self.domain.domid}: {what}, by process {self.pid}" for what in held]


class Hypervisor:
    """All domains and clients.  Dom0 exists from the start and for ever."""

    def __init__(self, toolstack: Toolstack) -> None:
        self._toolstack = toolstack
        self._domains: dict[Domid, Domain] = {DOM0: Domain(DOM0)}
        self._dying: dict[Domid, Domain] = {}
        self.clients: Final[set[Client]] = set()
        self.failures = 0

    def domain(self, domid: Domid) -> Domain:
        """A domain that lives.  Raises ``OSError`` (ESRCH)."""
        domain = self._domains.get(domid)
        if domain is None:
            raise OSError(errno.ESRCH, f"there is no domain {domid}")
        return domain

    def known(self, domid: Domid) -> Domain:
        """A domain that lives, or that is dying: destroyed, with pages that somebody still maps.

        As in Xen, that is the same domain for whoever maps or binds, and its domid is not free.
        Raises ``OSError`` (ESRCH).
        """
        return self._still_dying().get(domid) or self.domain(domid)

    def _still_dying(self) -> dict[Domid, Domain]:
        self._dying = {
            domid: domain for domid, domain in self._dying.items() if domain.grants.granted()
        }
        return self._dying

    def domids(self) -> list[Domid]:
        """The domains that live, Dom0 included."""
        return sorted(self._domains)

    def create(self, domid: Domid) -> None:
        """Create a domain.  Raises ``OSError`` (EEXIST, EINVAL, or what the toolstack met)."""
        if not 0 < domid < DOMID_FIRST_RESERVED:
            raise OSError(
                errno.EINVAL, f"domid {domid}: a guest's is 1 to {DOMID_FIRST_RESERVED - 1}"
            )
        if domid in self._domains:
            raise OSError(errno.EEXIST, f"domain {domid} exists already")
        if domid in self._still_dying():
            raise OSError(
                errno.EEXIST, f"domain {domid} is destroyed, but its pages are still mapped"
            )
        self._domains[domid] = Domain(domid)
        try:
            self._toolstack.created(domid)
        except BaseException:
            self.destroy(domid)
            raise

    def destroy(self, domid: Domid) -> None:
        """Destroy a domain and hang up on its clients.  Raises ``OSError`` (ESRCH, EPERM)."""
        domain = self.domain(domid)
        if domid == DOM0:
            raise OSError(errno.EPERM, "Dom0 cannot be destroyed")
        del self._domains[domid]
        for client in [client for client in self.clients if client.domain is domain]:
            client.hang_up()
        domain.grants.close()
        self._dying[domid] = domain
        self._toolstack.destroyed(domid)

    def attach(self, client: Client) -> None:
        """A client has opened its handle."""
        self.clients.add(client)

    def detach(self, client: Client) -> None:
        """A client is gone; all it held is given back."""
        self.clients.discard(client)
        client.release()

    def leaks(self) -> list[str]:
        """What guests and Dom0 still hold, sorted; empty when all is clean."""
        held = [
            line
            for client in self.clients
            if client.kind is not Kind.CONTROL
            for line in client.leaks()
        ]
        if self.failures:
            held.append(f"hypervisor: {self.failures} unexpected errors, see its standard error")
        return sorted(held)

    def close(self) -> None:
        """The hypervisor ends, and every guest with it."""
        for domid in self.domids():
            if domid != DOM0:
                self.destroy(domid)
        for client in list(self.clients):
            client.hang_up()
        self._domains.pop(DOM0).grants.close()
