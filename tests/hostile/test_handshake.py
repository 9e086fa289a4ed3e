"""Rubbish in the nodes: the reason is in ``error``, the neighbour is served, and a retry works."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from protocol.xenpv.layout import RING_ORDER, RING_REFS
from protocol.xenpv.xenbus import XenbusState

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.hostile.conftest import Neighbourhood

    from .raw_frontend import RawFrontend

CLOSED = (XenbusState.CLOSING, XenbusState.CLOSED)


def refused(hood: Neighbourhood, guest: RawFrontend) -> str:
    """The backend has closed the device; its reason.  The neighbour is well."""
    guest.await_state(*CLOSED)
    guest.say(XenbusState.CLOSED)
    guest.await_state(XenbusState.CLOSED)
    assert hood.neighbour_is_served()
    return guest.error()


def grefs(guest: RawFrontend) -> set[int]:
    """Every reference of its rings; a number that both domains use means each its own page."""
    found = {int(ring.offer.ring_ref) for ring in guest.rings}
    for words in guest.words:
        found.update(words[RING_REFS : RING_REFS + (1 << words[RING_ORDER])])
    return found


@pytest.mark.parametrize(
    ("node", "value", "reason"),
    [
        ("version", b"2", "version is '2'; only 1 is spoken"),
        ("num-rings", b"0", "num-rings is '0'; it must be a number from 1 to"),
        ("num-rings", b"99", "num-rings is '99'; it must be a number from 1 to"),
        ("num-rings", b"\xff\xfe", r"num-rings is '\xff\xfe'"),
        ("ring-ref0", b"0", "ring-ref0 is '0'"),
        ("ring-ref0", b"9" * 2000, "ring-ref0 is '99999"),
        ("ring-ref1", None, "ring-ref1 is missing"),
        ("ring-ref1", b"4294967295", "ring-ref1 4294967295: cannot be mapped"),
        ("event-channel-0", b"0", "event-channel-0 is '0'"),
        ("event-channel-1", b"4000", "event-channel-1 4000: cannot be bound"),
        ("event-channel-1", b"; rm -rf /", "event-channel-1 is '; rm -rf /'"),
    ],
)
def test_a_wrong_node_closes_the_device_with_its_reason(
    hood: Neighbourhood, node: str, value: bytes | None, reason: str
) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        guest.publish({node: value})
        assert reason in refused(hood, guest)


@pytest.mark.parametrize("order", [0, 10, 0xFFFF_FFFF])
def test_a_ring_order_out_of_range(hood: Neighbourhood, order: int) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        guest.words[1][RING_ORDER] = order
        guest.publish()
        assert f"ring_order is {order}; it must be 1 to 9" in refused(hood, guest)


@pytest.mark.parametrize("gref", [0, 1, 0xFFFF_FFFF])
def test_data_pages_that_were_never_granted(hood: Neighbourhood, gref: int) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        guest.words[0][RING_REFS + 1] = gref
        guest.publish()
        assert "its 2 data pages cannot be mapped" in refused(hood, guest)


def test_another_domains_pages_and_ports_are_not_to_be_had(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        mine, theirs = grefs(guest), grefs(hood.neighbour)
        guest.publish({"ring-ref0": b"%d" % min(theirs - mine)})
        assert "cannot be mapped" in refused(hood, guest)


def test_after_a_refusal_a_good_frontend_connects(hood: Neighbourhood) -> None:
    with hood.guest() as guest:
        guest.await_state(XenbusState.INIT_WAIT)
        guest.publish({"num-rings": b"0"})
        refused(hood, guest)
        guest.say(XenbusState.INITIALISING)
        guest.mount()
        assert guest.error() == ""


def spin(guest: RawFrontend) -> None:
    """Every state there is, and some that there are not, many times over."""
    for number in range(500):
        guest.store.write(f"{guest.front}/state", b"%d" % (number % 11))


def clutter(guest: RawFrontend) -> None:
    """Nodes by the hundred, where only a few are expected: as many as XenStore grants a domain."""
    number = 0
    with suppress(OSError):
        for number in range(2000):
            guest.store.write(f"{guest.front}/ring-ref{number}", b"x" * 1000)
    assert 10 < number < 1999


def vanish(guest: RawFrontend) -> None:
    """The frontend's nodes are taken away."""
    for name in guest.store.list(guest.front):
        guest.store.rm(f"{guest.front}/{name}")


@pytest.mark.parametrize("mischief", [spin, clutter, vanish])
def test_mischief_with_the_nodes_harms_nobody_else(
    hood: Neighbourhood, mischief: Callable[[RawFrontend], None]
) -> None:
    with hood.guest() as guest:
        guest.connect()
        mischief(guest)
        assert hood.neighbour_is_served()


@pytest.mark.parametrize("kind", ["missing", "file", "relative"])
def test_an_export_that_cannot_be_shown(hood: Neighbourhood, kind: str) -> None:
    path = {
        "missing": f"{hood.export}/no-such-folder",
        "file": f"{hood.export}/plain",
        "relative": "relative",
    }[kind]
    (hood.export / "plain").touch()
    error = hood.attach_fails(path)
    assert path in error
    assert hood.neighbour_is_served()
