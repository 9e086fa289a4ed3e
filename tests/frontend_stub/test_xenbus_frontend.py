"""The handshake, step by step, with a backend that the test plays."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.grants import _GREFS
from frontend_stub.client import Client
from frontend_stub.xenbus_frontend import XenbusFrontend
from protocol.ninep.codec import encode
from protocol.ninep.ids import Fid, Tag
from protocol.ninep.messages import Rclunk, Rversion, Tclunk
from protocol.xenpv.ids import DOM0, Domid
from protocol.xenpv.layout import RING_ORDER
from protocol.xenpv.xenbus import XenbusState
from tests.frontend_stub.peer import Script
from tests.frontend_stub.raw_backend import DEVID, RawBackend

if TYPE_CHECKING:
    from backend.platform.embedded.hypervisor import EmbeddedHypervisor

GUEST = Domid(5)
S = XenbusState


def frontend(hypervisor: EmbeddedHypervisor) -> XenbusFrontend:
    made = XenbusFrontend(hypervisor.platform(GUEST), DEVID, ExitStack())
    made.close_timeout = 20.0
    return made


def part(backend: RawBackend) -> None:
    """The frontend closes; let go as a backend should."""
    backend.await_frontend(S.CLOSING)
    backend.let_go()
    backend.say(S.CLOSING)
    backend.await_frontend(S.CLOSED)
    backend.say(S.CLOSED)


def whole_life(backend: RawBackend) -> None:
    """From Initialising to Closed without an incident."""
    backend.announce()
    backend.connect()
    part(backend)


def test_from_initialising_to_closed(hypervisor: EmbeddedHypervisor, backend: RawBackend) -> None:
    with Script(backend, whole_life):
        transport = frontend(hypervisor).connect()
        assert transport.max_msize == 512 * 1024
        assert backend.read("version") == b"1"
        assert backend.read("num-rings") == b"2"
        assert "domain 5" in transport.name
        transport.close()
    assert backend.read("state") == b"6"


@pytest.mark.parametrize(
    ("asked", "offered", "got"),
    [
        ((2, 9), (9, 9), (2, 9)),
        ((1, 4), (9, 9), (1, 4)),
        ((2, 9), (1, 3), (1, 3)),
        ((9, 1), (4, 9), (4, 1)),
        ((9, 1), (9, 1), (9, 1)),
    ],
)
def test_no_more_than_both_want(
    hypervisor: EmbeddedHypervisor,
    backend: RawBackend,
    asked: tuple[int, int],
    offered: tuple[int, int],
    got: tuple[int, int],
) -> None:
    seen: list[tuple[int, int]] = []

    def play(raw: RawBackend) -> None:
        raw.announce(*offered)
        raw.connect()
        seen.extend((len(raw.rings), ring.requests._words[RING_ORDER]) for ring in raw.rings)
        part(raw)

    with Script(backend, play):
        frontend(hypervisor).connect(*asked).close()
    assert set(seen) == {got}


def test_rings_shrink_to_the_grants_that_are_left(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    seen: list[int] = []

    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.connect()
        seen.extend(ring.requests._words[RING_ORDER] for ring in raw.rings)
        part(raw)

    sharer = hypervisor.platform(GUEST).grant_sharer()
    taken = sharer.share(DOM0, len(_GREFS) - 1024)
    with Script(backend, play):
        frontend(hypervisor).connect(2, 9).close()
    assert seen == [8, 8]
    for held in (taken, sharer):
        held.close()


def test_without_grants_for_the_smallest_rings_it_says_so(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.await_frontend(S.CLOSED)

    sharer = hypervisor.platform(GUEST).grant_sharer()
    taken = sharer.share(DOM0, len(_GREFS) - 5)
    with Script(backend, play), pytest.raises(OSError, match="grants left") as refused:
        frontend(hypervisor).connect(2, 9)
    assert refused.value.errno == errno.ENOSPC
    for held in (taken, sharer):
        held.close()


def test_a_client_over_it(hypervisor: EmbeddedHypervisor, backend: RawBackend) -> None:
    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.connect()
        raw.await_bytes(1, 21)  # Tversion: NOTAG is odd
        raw.publish(1, encode(Rversion(Tag(0xFFFF), 8192, b"9P2000.L")))
        raw.await_bytes(0, 11)
        raw.publish(0, encode(Rclunk(Tag(0))))
        part(raw)

    with Script(backend, play), Client.connect(frontend(hypervisor).connect()) as client:
        assert client.msize == 8192
        client.call(lambda tag: Tclunk(tag, Fid(1)), Rclunk)


def test_nobody_there(hypervisor: EmbeddedHypervisor, backend: RawBackend) -> None:
    with pytest.raises(TimeoutError, match=r"stays in state 1 \(INITIALISING\).*is xen-fileproxy"):
        frontend(hypervisor).connect(timeout=0.1)
    assert backend.read("state") == b"6"


def test_a_refusal_comes_with_its_reason(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.await_frontend(S.INITIALISED)
        raw.say(S.CLOSING, error=b"num-rings is \x1b[31m2\n" + b"x" * 1000)
        raw.await_frontend(S.CLOSED)
        raw.say(S.CLOSED)

    with Script(backend, play), pytest.raises(ConnectionRefusedError) as caught:
        frontend(hypervisor).connect()
    assert caught.value.errno == errno.ECONNREFUSED
    text = str(caught.value.strerror)
    assert "num-rings is ?[31m2?xxx" in text
    assert len(text) < 600


def test_a_backend_that_refuses_from_the_start(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    backend.say(S.CLOSED, error=b"path is missing")
    with pytest.raises(ConnectionRefusedError, match="path is missing"):
        frontend(hypervisor).connect(timeout=0.1)
    # The next attempt is a change of state, at which a backend looks again.
    assert backend.read("state") == b"6"


@pytest.mark.parametrize(
    "nodes",
    [
        {"versions": b"2"},
        {"versions": b"1", "max_rings": b"0"},
        {"versions": b"1", "max_rings": b"x"},
        {"versions": b"1", "max_rings": b"2", "max_ring_page_order": b"0"},
        {},
    ],
)
def test_an_offer_that_makes_no_sense(
    hypervisor: EmbeddedHypervisor, backend: RawBackend, nodes: dict[str, bytes]
) -> None:
    backend.say(S.INIT_WAIT, **nodes)

    with pytest.raises(OSError, match="the backend's") as caught:
        frontend(hypervisor).connect()
    assert caught.value.errno == errno.EPROTO


@pytest.mark.parametrize("left", [S.INIT_WAIT, S.INITIALISED, S.CONNECTED, S.CLOSING])
def test_what_a_dead_predecessor_left_is_shut_down_first(
    hypervisor: EmbeddedHypervisor, backend: RawBackend, left: XenbusState
) -> None:
    backend.store.write(f"{backend.frontend}/state", b"%d" % left)
    backend.say(S.CONNECTED)

    def play(raw: RawBackend) -> None:
        raw.await_frontend(S.CLOSING)
        raw.say(S.CLOSING)
        raw.await_frontend(S.CLOSED, S.INITIALISING)
        raw.say(S.CLOSED)
        raw.await_frontend(S.INITIALISING)
        whole_life(raw)

    with Script(backend, play):
        frontend(hypervisor).connect().close()


def test_the_backend_leaves_while_connected(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.connect()
        raw.await_bytes(1, 21)
        raw.await_frontend(S.CONNECTED)
        raw.let_go()
        raw.say(S.CLOSING, error=b"unplugged")
        raw.await_frontend(S.CLOSED)

    with (
        Script(backend, play),
        pytest.raises(ConnectionResetError, match="unplugged") as caught,
    ):
        Client.connect(frontend(hypervisor).connect())
    assert caught.value.errno == errno.ECONNRESET


def test_a_backend_that_does_not_let_go(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.connect()
        raw.await_frontend(S.CLOSED)
        raw.let_go()

    with Script(backend, play):
        ours = frontend(hypervisor)
        ours.close_timeout = 0.05
        ours.connect().close()


def test_events_of_an_unchanged_state_change_nothing(
    hypervisor: EmbeddedHypervisor, backend: RawBackend
) -> None:
    def play(raw: RawBackend) -> None:
        raw.announce()
        raw.connect()
        raw.await_frontend(S.CONNECTED)
        raw.say(S.CONNECTED)
        part(raw)

    with Script(backend, play):
        ours = frontend(hypervisor)
        transport = ours.connect()
        transport.wait(20)
        ours.check()
        ours.check()
        transport.close()
        transport.close()


def test_no_such_device(hypervisor: EmbeddedHypervisor) -> None:
    closed: list[str] = []
    owned = ExitStack()
    owned.callback(closed.append, "closed")
    with pytest.raises(OSError, match="has no backend") as caught:
        XenbusFrontend(hypervisor.platform(GUEST), DEVID, owned)
    assert caught.value.errno == errno.ENODEV
    assert closed == ["closed"]


@pytest.mark.parametrize("value", [b"x", b"-1", b"32752", b"99999999999"])
def test_a_backend_id_that_is_no_domain(
    hypervisor: EmbeddedHypervisor, backend: RawBackend, value: bytes
) -> None:
    backend.store.write(f"{backend.frontend}/backend-id", value)
    with pytest.raises(OSError, match="must be a domid"):
        frontend(hypervisor)


def test_a_missing_backend_id_is_dom0(hypervisor: EmbeddedHypervisor, backend: RawBackend) -> None:
    backend.store.rm(f"{backend.frontend}/backend-id")
    with Script(backend, whole_life):
        frontend(hypervisor).connect().close()
