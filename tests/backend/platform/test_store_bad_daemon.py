"""A daemon that hangs, is away, or talks rubbish: no call waits without a bound."""

from __future__ import annotations

import errno
import itertools
import socket
import struct
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.xenstore_wire import Op, Packet
from backend.platform.store import connect_store
from backend.platform.store_link import REPLY_MAX
from protocol.xenpv.ports import StoreUnavailable
from tests.backend.platform.scripted_daemon import Peer, ScriptedDaemon
from tests.backend.platform.store_waiting import (
    DEADLINE,
    Call,
    next_events,
    wait_until_it_works,
)
from tests.backend.platform.xenstore_clients import fails

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="xs") as directory:
        yield f"{directory}/socket"


def mute(peer: Peer) -> None:
    peer.wait_for_the_end()


def test_no_daemon_is_said_at_once(path: str) -> None:
    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*No such file"):
        connect_store(path)


def test_a_call_in_flight_ends_when_the_connection_does(path: str) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.next()
        asked.set()
        peer.next()

    with ScriptedDaemon(path, script) as daemon, closing(connect_store(path, timeout=600)) as store:
        call = Call(lambda: store.read("/a"))
        assert asked.wait(DEADLINE)
        daemon.close()
        assert isinstance(call.finish(), StoreUnavailable)


def test_a_daemon_that_never_answers(path: str) -> None:
    with ScriptedDaemon(path, mute), closing(connect_store(path, timeout=0.1)) as store:
        calls: list[Callable[[], object]] = [
            lambda: store.read("/a"),
            lambda: store.write("/a", b""),
            lambda: store.list("/a"),
            lambda: store.watch("/a", "t"),
            lambda: store.transact(lambda view: view.read("/a")),
        ]
        for call in calls:
            begun = time.monotonic()
            with pytest.raises(TimeoutError):
                call()
            assert time.monotonic() - begun < 5
        with fails(errno.ENOENT):
            store.unwatch("/a", "t")


def test_a_transaction_whose_start_is_not_answered_goes_with_its_connection(path: str) -> None:
    connections = iter([mute, Peer.serve])

    def script(peer: Peer) -> None:
        next(connections)(peer)

    with ScriptedDaemon(path, script), closing(connect_store(path, timeout=0.1)) as store:
        with pytest.raises(TimeoutError):
            store.transact(lambda view: view.read("/a"))
        wait_until_it_works(store)
        assert store.read("/a") == b"value"


def test_close_ends_a_waiting_call(path: str) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.next()
        asked.set()
        peer.wait_for_the_end()

    with ScriptedDaemon(path, script):
        store = connect_store(path, timeout=600)
        call = Call(lambda: store.read("/a"))
        assert asked.wait(DEADLINE)
        store.close()
        assert isinstance(call.finish(), StoreUnavailable)


def test_unexpected_packets_are_reported_and_ignored(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    def script(peer: Peer) -> None:
        while True:
            request = peer.next()
            peer.send(Packet(Op.READ, request.req_id ^ 0xFFFF, 0, b"for somebody else"))
            peer.send(Packet(Op.READ, request.req_id, 77, b"of another transaction"))
            peer.send(Packet(99, request.req_id, 0, b"of another type"))
            peer.send(Packet(Op.WATCH_EVENT, 0, 0, b"no nul"))
            peer.send(Packet(Op.WATCH_EVENT, 0, 0, b"/nobody\0watches\0"))
            peer.send(Packet(Op.ERROR, 0xABCDEF, 0, b"ENOENT\0"))
            peer.reply(request, b"the answer")

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store:
        for _ in range(3):
            assert store.read("/a") == b"the answer"
        assert store.events() == []
    assert caplog.text.count("nobody expects") == 12
    assert "event without a path" in caplog.text


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"ENOENT\0", errno.ENOENT),
        (b"EROFS", errno.EROFS),
        (b"EQUOTA\0", errno.EDQUOT),
        (b"ENONSENSE\0", errno.EIO),
        (b"", errno.EIO),
    ],
)
def test_errors_go_by_name(path: str, payload: bytes, code: int) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.next(), payload, Op.ERROR)
        peer.wait_for_the_end()

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store, fails(code):
        store.read("/a")


@pytest.mark.parametrize("op", [Op.WRITE, Op.TRANSACTION_START, Op.GET_PERMS])
def test_an_answer_nobody_can_understand_is_eio(path: str, op: Op) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.next(), b"\xff?\0")
        peer.wait_for_the_end()

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store, fails(errno.EIO):
        if op == Op.WRITE:
            store.write("/a", b"")
        elif op == Op.TRANSACTION_START:
            store.transact(lambda view: view.read("/a"))
        else:
            store.get_permissions("/a")


@pytest.mark.parametrize("number", [b"0\0", b"4294967296\0", b"-1\0"])
def test_a_transaction_without_a_number_is_refused(path: str, number: bytes) -> None:
    def script(peer: Peer) -> None:
        peer.reply(peer.next(), number)
        peer.wait_for_the_end()

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store, fails(errno.EIO):
        store.transact(lambda view: view.write("/a", b"outside of any transaction"))


def test_rubbish_drops_the_connection_and_the_next_one_serves(path: str) -> None:
    too_long = struct.pack("=IIII", Op.READ, 0, 0, REPLY_MAX + 1)
    connections = iter([b"\xff" * 64, b"HTTP/1.1 400 Bad Request\r\n\r\n", too_long, b""])

    def script(peer: Peer) -> None:
        rubbish = next(connections)
        if rubbish:
            peer.sock.sendall(rubbish)
            peer.wait_for_the_end()
        peer.serve()

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store:
        wait_until_it_works(store)
        assert store.read("/a") == b"value"


def test_answers_in_single_bytes(path: str) -> None:
    def script(peer: Peer) -> None:
        request = peer.next()
        data = Packet(Op.READ, request.req_id, 0, b"slow").encode()
        for at in range(len(data)):
            peer.sock.sendall(data[at : at + 1])
        peer.wait_for_the_end()

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store:
        assert store.read("/a") == b"slow"


@pytest.mark.parametrize("length", [4097, REPLY_MAX])
def test_a_list_in_one_packet_however_long(path: str, length: int) -> None:
    """As oxenstored sends it."""
    names = [b"n" * 99] * (length // 100)

    def script(peer: Peer) -> None:
        request = peer.next()
        peer.reply(request, b"\0".join(names).ljust(length, b"\0"))
        peer.serve()

    with ScriptedDaemon(path, script), closing(connect_store(path)) as store:
        assert store.list("/a") == [name.decode() for name in names]
        assert store.read("/a") == b"value"


def test_a_daemon_that_takes_no_watches_back_is_not_connected(path: str) -> None:
    """Mute at first, then refusing, then good; the store is usable only with the last."""
    # A good one that is too late for the store, on a busy machine, is asked again.
    behaviours = itertools.chain(["good", "mute", "refuse"], itertools.repeat("good"))
    hang_up = threading.Event()

    def script(peer: Peer) -> None:
        behaviour = next(behaviours)
        if behaviour == "mute":
            peer.wait_for_the_end()
        if behaviour == "refuse":
            peer.reply(peer.next(), b"ENOSPC\0", Op.ERROR)
            peer.wait_for_the_end()
        peer.reply(peer.next(), b"OK\0")
        peer.send(Packet(Op.WATCH_EVENT, 0, 0, b"/a\0t\0"))
        if not hang_up.is_set():
            hang_up.wait(DEADLINE)
            return
        peer.serve()

    with ScriptedDaemon(path, script) as daemon, closing(connect_store(path, timeout=0.2)) as store:
        store.watch("/a", "t")
        next_events(store, 1)
        hang_up.set()
        assert next_events(store, 1) == [("/a", "t")]
        wait_until_it_works(store)
        for _ in range(4):
            assert daemon.accepted.acquire(timeout=DEADLINE)
        assert store.read("/a") == b"value"


def test_a_daemon_that_does_not_read(path: str) -> None:
    asked = threading.Event()

    def script(peer: Peer) -> None:
        asked.wait(DEADLINE)
        peer.serve()

    with ScriptedDaemon(path, script), closing(connect_store(path, timeout=0.001)) as store:
        refused = 0
        for _ in range(2000):
            try:
                store.write("/a", bytes(4000))
            except StoreUnavailable as error:
                assert "does not read" in str(error)  # noqa: PT017 -- the other kind is expected too
                refused += 1
                break
            except TimeoutError:
                continue
        assert refused == 1
        asked.set()
    # What was kept is sent once the daemon reads again.
    with (
        tempfile.TemporaryDirectory(prefix="xs") as directory,
        ScriptedDaemon(f"{directory}/s", Peer.serve),
        closing(connect_store(f"{directory}/s")) as store,
    ):
        calls = [Call(lambda: store.write("/a", bytes(4000))) for _ in range(100)]
        assert [call.finish() for call in calls] == [None] * 100


def test_a_full_backlog_is_not_waited_for(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as waiting:
        listener.bind(path)
        listener.listen(0)

        def connect_some() -> None:
            for _ in range(10):
                waiting.enter_context(closing(connect_store(path)))

        with pytest.raises(StoreUnavailable):
            connect_some()
