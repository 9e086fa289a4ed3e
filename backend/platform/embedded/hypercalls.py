"""The hypercalls: one function each, by kind of handle.  Every argument is checked here.

A function raises ``OSError`` for what the caller did wrong and never builds an error answer.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backend.platform.embedded.domains import Client, Hypervisor
from backend.platform.embedded.wire import MAX_PAGES, Kind, Packet
from protocol.xenpv.ids import DOM0, DOMID_FIRST_RESERVED, Domid, Evtchn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from backend.platform.embedded.channels import Port


_KINDS: Final = frozenset(kind.value for kind in Kind)


class Answer(NamedTuple):
    """What goes back: results, words, and descriptors that the hypervisor keeps open itself."""

    fields: dict[str, Any] = {}  # noqa: RUF012 -- a NamedTuple's default, never changed
    words: Sequence[int] = ()
    fds: Sequence[int] = ()


def integer(packet: Packet, name: str, low: int, high: int) -> int:
    """A whole-number argument.  Raises ``OSError`` (EINVAL)."""
    value = packet.fields.get(name)
    # bool is an int to isinstance; True is no domid.
    if type(value) is not int or not low <= value <= high:
        raise OSError(errno.EINVAL, f"{name} must be a number from {low} to {high}")
    return value


def domid_argument(packet: Packet) -> Domid:
    """The ``domid`` argument.  Raises ``OSError`` (EINVAL)."""
    return Domid(integer(packet, "domid", 0, DOMID_FIRST_RESERVED - 1))


def open_handle(
    hypervisor: Hypervisor, packet: Packet, pid: int, hang_up: Callable[[], None]
) -> Client:
    """The first request of a connection.  Raises ``OSError`` (EINVAL, EPERM, ESRCH)."""
    if packet.fields.get("call") != "open":
        raise OSError(errno.EINVAL, "the first request must be open")
    kind = packet.fields.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise OSError(errno.EINVAL, f"kind must be one of {', '.join(Kind)}")
    domid = domid_argument(packet)
    if kind == Kind.CONTROL and domid != DOM0:
        raise OSError(errno.EPERM, "only Dom0 controls domains")
    return Client(Kind(kind), hypervisor.domain(domid), pid, hang_up)


def call(hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    """Any later request.  Raises ``OSError``."""
    name = packet.fields.get("call")
    function = CALLS[client.kind].get(name) if isinstance(name, str) else None
    if function is None:
        raise OSError(errno.ENOSYS, f"a handle ({client.kind}) has no such call")
    return function(hypervisor, client, packet)


# --- control


def _create_domain(hypervisor: Hypervisor, _client: Client, packet: Packet) -> Answer:
    hypervisor.create(domid_argument(packet))
    return Answer()


def _destroy_domain(hypervisor: Hypervisor, _client: Client, packet: Packet) -> Answer:
    hypervisor.destroy(domid_argument(packet))
    return Answer()


def _domains(hypervisor: Hypervisor, _client: Client, _packet: Packet) -> Answer:
    return Answer(words=hypervisor.domids())


def _leaks(hypervisor: Hypervisor, _client: Client, packet: Packet) -> Answer:
    """One page of the list: as many lines as fit a packet at any number's length."""
    first = integer(packet, "first", 0, 1 << 31)
    lines = hypervisor.leaks()
    return Answer({"lines": lines[first : first + 500], "total": len(lines)})


# --- grants


def _map(hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    domid = domid_argument(packet)
    if not 0 < len(packet.words) <= MAX_PAGES:
        raise OSError(errno.EINVAL, f"a mapping has 1 to {MAX_PAGES} pages")
    try:
        table = hypervisor.known(domid).grants
    except OSError as error:
        # gntdev gives one error for every reason (Linux drivers/xen/gntdev.c, map_grant_pages).
        raise OSError(errno.EINVAL, error.strerror) from None
    mapping, runs, fd = table.map(client.domain.domid, packet.words)
    number = client.number()
    client.mappings[number] = mapping
    return Answer({"number": number}, runs, (fd,))


def _unmap(_hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    mapping = client.mappings.pop(integer(packet, "number", 1, 1 << 62), None)
    if mapping is None:
        raise OSError(errno.EINVAL, "no such mapping")
    mapping.let_go()
    return Answer()


def _share(_hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    domid = domid_argument(packet)
    count = integer(packet, "count", -(1 << 62), 1 << 62)
    share = client.domain.grants.share(domid, count)
    number = client.number()
    client.shares[number] = share
    return Answer({"number": number}, (*share.grefs, *share.region.runs()), (share.region.fd,))


def _end(_hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    share = client.shares.pop(integer(packet, "number", 1, 1 << 62), None)
    if share is None:
        raise OSError(errno.EINVAL, "no such share")
    client.domain.grants.end(share)
    return Answer()


# --- event channels


def _opened(client: Client, port: Port) -> Answer:
    client.ports[port.number] = port
    return Answer({"port": port.number}, fds=port.bells)


def _alloc_unbound(_hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    remote = domid_argument(packet)
    # Linux drivers/xen/evtchn.c, IOCTL_EVTCHN_BIND_UNBOUND_PORT: not even to the one domain.
    if client.restricted_to is not None:
        raise OSError(errno.EACCES, "a restricted handle offers no ports")
    return _opened(client, client.domain.ports.alloc_unbound(remote))


def _bind_interdomain(hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    remote = domid_argument(packet)
    if client.restricted_to not in (None, remote):
        raise OSError(errno.EACCES, f"this handle is restricted to domain {client.restricted_to}")
    number = integer(packet, "port", 0, 0xFFFF_FFFF)
    far = hypervisor.known(remote).ports.offered(number, client.domain.domid)
    return _opened(client, client.domain.ports.bind(far))


def _unbind(_hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    port = client.ports.pop(Evtchn(integer(packet, "port", 0, 0xFFFF_FFFF)), None)
    if port is None:
        raise OSError(errno.ENOTCONN, "this handle has no such port")
    client.domain.ports.close(port)
    return Answer()


def _restrict(_hypervisor: Hypervisor, client: Client, packet: Packet) -> Answer:
    domid = domid_argument(packet)
    # Linux drivers/xen/evtchn.c, IOCTL_EVTCHN_RESTRICT_DOMID: once, and never to Dom0.
    if client.restricted_to is not None:
        raise OSError(
            errno.EACCES, f"this handle is restricted to domain {client.restricted_to} already"
        )
    if domid == DOM0:
        raise OSError(errno.EINVAL, "a handle cannot be restricted to Dom0")
    client.restricted_to = domid
    return Answer()


def _close(_hypervisor: Hypervisor, client: Client, _packet: Packet) -> Answer:
    """Give everything back before the answer, so that closing is over when the call returns."""
    client.release()
    return Answer()


CALLS: Final[Mapping[Kind, Mapping[str, Callable[[Hypervisor, Client, Packet], Answer]]]] = {
    Kind.CONTROL: {
        "create_domain": _create_domain,
        "destroy_domain": _destroy_domain,
        "domains": _domains,
        "leaks": _leaks,
    },
    Kind.MAPPER: {"map": _map, "unmap": _unmap, "close": _close},
    Kind.SHARER: {"share": _share, "end": _end, "close": _close},
    Kind.EVENTS: {
        "alloc_unbound": _alloc_unbound,
        "bind_interdomain": _bind_interdomain,
        "unbind": _unbind,
        "restrict": _restrict,
        "close": _close,
    },
}
