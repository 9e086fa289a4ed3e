"""Who hears of which change, and how it is told."""

from __future__ import annotations

import errno

import pytest

from backend.platform.embedded.xenstore_state import State
from backend.platform.embedded.xenstore_wire import Op, Packet
from tests.backend.platform.xenstore_clients import LocalClient, fails


@pytest.fixture
def state() -> State:
    state = State()
    for domid in (5, 6):
        state.introduce(domid)
    return state


@pytest.fixture
def dom0(state: State) -> LocalClient:
    return LocalClient(state)


@pytest.fixture
def watcher(state: State) -> LocalClient:
    return LocalClient(state)


@pytest.fixture
def guest(state: State) -> LocalClient:
    return LocalClient(state, 5)


def test_the_first_event_comes_at_once_even_for_what_is_not_there(watcher: LocalClient) -> None:
    watcher.watch(b"/not/there", b"token")
    assert watcher.take_events() == [(b"/not/there", b"token")]


def test_changes_at_and_below_are_told(dom0: LocalClient, watcher: LocalClient) -> None:
    watcher.watch(b"/a", b"t")
    watcher.take_events()
    dom0.write(b"/a", b"1")
    dom0.write(b"/a/b/c", b"2")
    dom0.mkdir(b"/a/d")
    dom0.mkdir(b"/a/d")
    dom0.chmod(b"/a/b", b"r0")
    dom0.write(b"/ab", b"beside")
    dom0.write(b"/", b"above")
    assert [path for path, _ in watcher.take_events()] == [b"/a", b"/a/b/c", b"/a/d", b"/a/b"]


def test_a_removal_is_told_above_and_to_each_watch_inside(
    dom0: LocalClient, watcher: LocalClient
) -> None:
    dom0.write(b"/a/b/c/d")
    for path in (b"/", b"/a", b"/a/b", b"/a/b/c/d", b"/a/b/none"):
        watcher.watch(path, path[1:] or b"root")
    watcher.take_events()
    dom0.rm(b"/a/b")
    assert sorted(watcher.take_events()) == [
        (b"/a/b", b"a"),
        (b"/a/b", b"a/b"),
        (b"/a/b", b"root"),
        (b"/a/b/c/d", b"a/b/c/d"),
    ]
    dom0.rm(b"/a/b")
    assert watcher.take_events() == []


def test_a_relative_watch_reports_relative_paths(dom0: LocalClient, guest: LocalClient) -> None:
    dom0.write(b"/local/domain/5")
    dom0.chmod(b"/local/domain/5", b"n5")
    guest.watch(b"device", b"relative")
    guest.watch(b"/local/domain/5/device", b"absolute")
    assert guest.take_events() == [
        (b"device", b"relative"),
        (b"/local/domain/5/device", b"absolute"),
    ]
    dom0.write(b"/local/domain/5/device/x")
    assert sorted(guest.take_events()) == [
        (b"/local/domain/5/device/x", b"absolute"),
        (b"device/x", b"relative"),
    ]
    guest.unwatch(b"/local/domain/5/device", b"relative")
    dom0.write(b"/local/domain/5/device/x")
    assert [token for _, token in guest.take_events()] == [b"absolute"]


def test_ones_own_changes_are_told_before_the_reply(state: State) -> None:
    order: list[int] = []

    class Recorder(LocalClient):
        def _take(self, packet: Packet) -> None:
            order.append(packet.op)
            super()._take(packet)

    client = Recorder(state)
    client.watch(b"/a", b"t")
    order.clear()
    client.write(b"/a")
    client.watch(b"/b", b"t")
    assert order == [Op.WATCH_EVENT, Op.WRITE, Op.WATCH, Op.WATCH_EVENT]


def test_the_same_watch_twice_and_a_watch_that_is_not_there(watcher: LocalClient) -> None:
    watcher.watch(b"/a", b"t")
    watcher.watch(b"/a", b"u")
    watcher.watch(b"/b", b"t")
    with fails(errno.EEXIST):
        watcher.watch(b"/a", b"t")
    with fails(errno.ENOENT):
        watcher.unwatch(b"/b", b"u")


def test_unwatch_ends_it(dom0: LocalClient, watcher: LocalClient) -> None:
    watcher.watch(b"/a", b"t")
    watcher.unwatch(b"/a", b"t")
    watcher.take_events()
    dom0.write(b"/a")
    assert watcher.take_events() == []


def test_watches_belong_to_their_connection(dom0: LocalClient, watcher: LocalClient) -> None:
    with fails(errno.ENOENT):
        dom0.unwatch(b"/a", b"t")
    watcher.watch(b"/a", b"t")
    watcher.take_events()
    dom0.watch(b"/a", b"t")
    dom0.take_events()
    watcher.write(b"/a")
    assert watcher.take_events() == dom0.take_events() == [(b"/a", b"t")]


def test_nobody_hears_of_what_he_may_not_read(dom0: LocalClient, guest: LocalClient) -> None:
    dom0.write(b"/secret/below")
    guest.watch(b"/", b"t")
    guest.take_events()
    dom0.write(b"/secret/below", b"1")
    dom0.rm(b"/secret/below")
    assert guest.take_events() == []
    dom0.write(b"/secret/below", b"1")
    dom0.chmod(b"/secret/below", b"n0,r5")
    assert guest.take_events() == [(b"/secret/below", b"t")]
    # Who could read until now hears that it has ended.
    dom0.chmod(b"/secret/below", b"n0")
    assert guest.take_events() == [(b"/secret/below", b"t")]
    dom0.write(b"/secret/below", b"2")
    assert guest.take_events() == []


def test_the_end_of_a_readable_node_is_told(dom0: LocalClient, guest: LocalClient) -> None:
    dom0.write(b"/secret/mine")
    dom0.chmod(b"/secret/mine", b"n5")
    guest.watch(b"/secret/mine", b"t")
    guest.take_events()
    dom0.rm(b"/secret")
    assert guest.take_events() == [(b"/secret/mine", b"t")]


def test_domains_coming_and_going(state: State, dom0: LocalClient, guest: LocalClient) -> None:
    for client in (dom0, guest):
        client.watch(b"@introduceDomain", b"in")
        client.watch(b"@releaseDomain", b"out")
        client.watch(b"/", b"root")
        client.take_events()
    state.introduce(7)
    state.introduce(7)
    assert dom0.take_events() == [(b"@introduceDomain", b"in")]
    state.release(7)
    state.release(7)
    assert dom0.take_events() == [(b"@releaseDomain", b"out")]
    assert guest.take_events() == []
    dom0.chmod(b"@releaseDomain", b"n0,r5")
    guest.take_events()
    state.introduce(7)
    state.release(7)
    assert guest.take_events() == [(b"@releaseDomain", b"out")]


def test_domains_come_and_go_by_request(dom0: LocalClient) -> None:
    dom0.watch(b"@introduceDomain", b"in")
    dom0.watch(b"@releaseDomain", b"out")
    dom0.take_events()
    assert dom0.request(Op.INTRODUCE, b"8\x00-1\x003\0") == b"OK\0"
    assert dom0.request(Op.IS_DOMAIN_INTRODUCED, b"8\0") == b"T\0"
    assert dom0.request(Op.RESUME, b"8\0") == b"OK\0"
    assert dom0.request(Op.RELEASE, b"8\0") == b"OK\0"
    assert dom0.request(Op.IS_DOMAIN_INTRODUCED, b"8\0") == b"F\0"
    for op in (Op.RELEASE, Op.RESUME):
        with fails(errno.ENOENT):
            dom0.request(op, b"8\0")
    assert [token for _, token in dom0.take_events()] == [b"in", b"out"]


def test_a_domains_nodes_are_gone_when_its_release_is_told(state: State, dom0: LocalClient) -> None:
    dom0.write(b"/local/domain/5/x")
    dom0.chmod(b"/local/domain/5", b"n5")
    dom0.watch(b"@releaseDomain", b"out")
    dom0.watch(b"/local/domain/5/x", b"node")
    dom0.take_events()
    state.release(5)
    assert dom0.take_events() == [(b"/local/domain/5/x", b"node"), (b"@releaseDomain", b"out")]
    assert dom0.children(b"/local/domain") == []


def test_an_event_too_long_for_a_packet_is_not_sent(dom0: LocalClient) -> None:
    dom0.watch(b"/", b"t" * 4000)
    dom0.take_events()
    dom0.write(b"/" + b"a" * 93)
    assert len(dom0.take_events()) == 1
    dom0.write(b"/" + b"a" * 94)
    assert dom0.take_events() == []
