"""The device's XenStore nodes: their names, and a checked reading of what each end wrote.

Everything the other end writes is hostile: its size, its digits, its range.  Source: Xen
``docs/misc/9pfs.pandoc`` ("Xenstore"), ``xen/include/public/io/9pfs.h``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from protocol.xenpv.ids import Evtchn, Gref

if TYPE_CHECKING:
    from collections.abc import Callable

BACKEND_CLASS: Final = "xen_9pfs"
"""The class under ``backend/`` that libxl (Xen 4.19+) uses for a daemon other than QEMU."""

FRONTEND_CLASS: Final = "9pfs"
"""The class under ``device/``, as Linux's and Mini-OS's drivers register it."""

PROTOCOL_VERSION: Final = b"1"

MAX_RINGS: Final = 9
"""Linux asserts that it never writes more than nine ``ring-ref%u``; more would serve nobody."""

MAX_RING_ORDER: Final = 9
"""Largest order that any known frontend uses, and the one we advertise (2 MiB of data pages)."""

_MAX_U32: Final = 0xFFFF_FFFF


class HandshakeError(Exception):
    """A node is missing or wrong; the text names it, its value and what is accepted."""


class RingOffer(NamedTuple):
    """One ring as a frontend offers it: its interface page and its event channel."""

    ring_ref: Gref
    event_channel: Evtchn


class BackendOffer(NamedTuple):
    """What a backend accepts: the highest number of rings, and the highest page order of each."""

    max_rings: int
    max_ring_page_order: int


def backend_nodes(offer: BackendOffer) -> dict[str, bytes]:
    """What a backend writes before it goes to InitWait."""
    return {
        "versions": PROTOCOL_VERSION,
        "max-rings": b"%d" % offer.max_rings,
        "max-ring-page-order": b"%d" % offer.max_ring_page_order,
    }


def frontend_nodes(rings: list[RingOffer]) -> dict[str, bytes]:
    """What a frontend writes, in one transaction, before it goes to Initialised."""
    nodes = {"version": PROTOCOL_VERSION, "num-rings": b"%d" % len(rings)}
    for number, ring in enumerate(rings):
        nodes[f"ring-ref{number}"] = b"%d" % ring.ring_ref
        nodes[f"event-channel-{number}"] = b"%d" % ring.event_channel
    return nodes


def read_frontend_nodes(
    read: Callable[[str], bytes | None], offer: BackendOffer
) -> list[RingOffer]:
    """What a frontend chose.  ``read(name)`` gives a node's value, or ``None`` where there is none.

    Raises ``HandshakeError``.  Nothing is stored before all of it has been checked.
    """
    version = read("version")
    if version != PROTOCOL_VERSION:
        raise HandshakeError(f"version is {_shown(version)}; only 1 is spoken")
    count = _number(read, "num-rings", 1, offer.max_rings)
    rings = [
        RingOffer(
            Gref(_number(read, f"ring-ref{number}", 1, _MAX_U32)),
            Evtchn(_number(read, f"event-channel-{number}", 1, _MAX_U32)),
        )
        for number in range(count)
    ]
    for what, values in (
        ("ring-ref", [ring.ring_ref for ring in rings]),
        ("event-channel-", [ring.event_channel for ring in rings]),
    ):
        if len(set(values)) != len(values):
            raise HandshakeError(
                f"{what}0..{count - 1} name the same one twice; each ring needs its own"
            )
    return rings


def read_backend_nodes(read: Callable[[str], bytes | None]) -> BackendOffer:
    """What a backend accepts, as a frontend reads it.  Raises ``HandshakeError``.

    Both maxima are brought down to what we can use, as Linux does; too large a value is no error.
    """
    versions = read("versions")
    if versions is None or PROTOCOL_VERSION not in versions.split(b","):
        raise HandshakeError(f"versions is {_shown(versions)}; it must contain 1")
    rings = _number(read, "max-rings", 1, _MAX_U32)
    order = _number(read, "max-ring-page-order", 1, _MAX_U32)
    return BackendOffer(min(rings, MAX_RINGS), min(order, MAX_RING_ORDER))


def _number(read: Callable[[str], bytes | None], name: str, low: int, high: int) -> int:
    value = read(name)
    # Ten digits hold any 32-bit number; int() never sees more than that, nor a sign, space or '_'.
    if (
        value is None
        or not 1 <= len(value) <= 10
        or not value.isdigit()
        or not low <= int(value) <= high
    ):
        raise HandshakeError(f"{name} is {_shown(value)}; it must be a number from {low} to {high}")
    return int(value)


def _shown(value: bytes | None) -> str:
    """A value for a message: short and printable whatever the other end wrote."""
    if value is None:
        return "missing"
    text = repr(value[:32])[1:]
    return text if len(value) <= 32 else f"{text} and {len(value) - 32} bytes more"
