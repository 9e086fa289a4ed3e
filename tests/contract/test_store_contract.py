"""The whole of ``protocol.xenpv.ports.Store``: Dom0's here, a guest's through an agent."""

from __future__ import annotations

import errno
import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from protocol.xenpv.ports import StoreUnavailable
from tests.contract.refused import refused
from tests.contract.remote_store import RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from protocol.xenpv.ports import Events, Store, StoreView
    from tests.contract.conftest import Agents, Bed

    OpenStore = Callable[[], Store]


@pytest.fixture
def open_store(bed: Bed, stack: ExitStack) -> OpenStore:
    """Makes connections of Dom0's."""

    def make() -> Store:
        platform = bed.dom0()
        stack.callback(platform.close)
        store = platform.store()
        stack.callback(store.close)
        return store

    return make


@pytest.fixture
def store(open_store: OpenStore) -> Store:
    return open_store()


@pytest.fixture
def guest(bed: Bed, agents: Agents) -> RemoteStore:
    return RemoteStore(agents(bed.guest))


@pytest.fixture
def home(bed: Bed) -> str:
    return f"/local/domain/{bed.guest}"


@pytest.fixture
def data(home: str, store: Store) -> str:
    """A node that belongs to the guest, empty: on real Xen, guests are kept from test to test."""
    path = f"{home}/data"
    for name in store.list(path):
        store.rm(f"{path}/{name}")
    store.write(path, b"")
    return path


def readable(store: Store, seconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(store.fileno(), select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def next_events(store: Store, count: int) -> Events:
    """``count`` events, waited for on the descriptor."""
    seen: Events = []
    while len(seen) < count:
        assert readable(store, 10), f"only {seen}"
        seen += store.events()
    return seen


def test_a_write_creates_parents_and_list_shows_them(store: Store, data: str) -> None:
    store.write(f"{data}/a/b", b"1")
    store.write(f"{data}/a/c", b"2")
    assert store.list(f"{data}/a") == ["b", "c"]
    assert store.list(f"{data}/a/b") == []
    assert store.read(f"{data}/a") == b""


@pytest.mark.parametrize(
    "value", [b"", b"\0", b"x\0", b"\0x", b"a\0b\0\0", bytes(range(256)), b"\xff"]
)
def test_a_value_comes_back_byte_for_byte(store: Store, data: str, value: bytes) -> None:
    store.write(data, value)
    assert store.read(data) == value


def test_mkdir_leaves_what_is_there(store: Store, data: str) -> None:
    store.write(f"{data}/a", b"kept")
    store.mkdir(f"{data}/a")
    store.mkdir(f"{data}/new/deep")
    assert store.read(f"{data}/a") == b"kept"
    assert store.read(f"{data}/new/deep") == b""


def test_rm_takes_all_below_and_forgives_absence(store: Store, data: str) -> None:
    store.write(f"{data}/a/b/c", b"")
    store.rm(f"{data}/a")
    store.rm(f"{data}/a")
    assert store.list(data) == []
    with refused(errno.ENOENT):
        store.rm(f"{data}/a/b")


def test_a_list_longer_than_a_packet(store: Store, data: str) -> None:
    names = [f"child-with-a-long-name-{number}" for number in range(600)]
    for name in names:
        store.write(f"{data}/{name}", b"")
    # In which order is the daemon's affair.
    assert sorted(store.list(data)) == sorted(names)
    assert sorted(store.transact(lambda view: view.list(data))) == sorted(names)


@pytest.mark.parametrize(
    "path",
    [
        *("", "//", "/a/", "/a//b", "a/", "/a b", "/a.b", "/ä", "/a\n", "/a\0", "/a\0b", "@"),
        # Not a long relative one: Xen 4.17 and 4.20 disagree about it.
        *("@releaseDomain", "/" + "a" * 3072),
    ],
)
def test_a_path_that_cannot_be(store: Store, path: str) -> None:
    for call in (store.read, store.list, store.mkdir, store.rm):
        with refused(errno.EINVAL):
            call(path)
    with refused(errno.EINVAL):
        store.write(path, b"")


def test_errors_name_the_path(store: Store, data: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        store.read(f"{data}/nothing")
    assert caught.value.filename == f"{data}/nothing"
    assert caught.value.strerror == os.strerror(errno.ENOENT)


def test_a_value_too_long_for_a_packet(store: Store, data: str) -> None:
    # xenstored in C takes from Dom0 what a packet holds, oxenstored what it takes from a guest.
    store.write(data, bytes(2048))
    with refused(errno.E2BIG):
        store.write(data, bytes(4096 - len(data)))
    assert store.read(data) == bytes(2048)


def test_permissions(bed: Bed, store: Store, guest: RemoteStore, data: str) -> None:
    path = f"{data}/p"
    store.write(path, b"1")
    store.set_permissions(path, ["n0", f"r{bed.guest}", f"b{bed.other}"])
    assert store.get_permissions(path) == ["n0", f"r{bed.guest}", f"b{bed.other}"]
    assert guest.read(path) == b"1"
    with pytest.raises(PermissionError):
        guest.write(path, b"2")
    with pytest.raises(PermissionError):
        guest.set_permissions(path, [f"n{bed.guest}"])
    store.set_permissions(path, ["n0"])
    with pytest.raises(PermissionError):
        guest.read(path)


@pytest.mark.parametrize("entry", ["", "x5", "n", "5", "n5\n", "n5\0", "n-1", "n65536", "nn5"])
def test_permissions_that_cannot_be(store: Store, data: str, entry: str) -> None:
    with refused(errno.EINVAL):
        store.set_permissions(data, [entry])
    with refused(errno.EINVAL):
        store.set_permissions(data, [])


def test_a_guests_paths_are_relative_to_its_home(
    store: Store, guest: RemoteStore, data: str
) -> None:
    guest.write("data/x", b"1")
    assert store.read(f"{data}/x") == b"1"
    guest.watch("data", "relative")
    assert guest.next_events(1) == [("data", "relative")]
    store.write(f"{data}/x", b"2")
    assert guest.next_events(1) == [("data/x", "relative")]


def test_a_guest_meets_its_limits(guest: RemoteStore) -> None:
    """The errno is the daemon's choice, and what Linux makes of it; how many watches, too: 128 or
    100, of which a guest's kernel has some.
    """
    with pytest.raises(OSError, match=r"."):
        guest.write("data/x", bytes(2049))
    assert 64 < guest.watch_all("data", 129) <= 128
    guest.unwatch("data", "0")
    guest.watch("data", "another")


def test_a_watch_reports_at_once_and_then_each_change(store: Store, data: str) -> None:
    assert not readable(store)
    assert store.events() == []
    store.watch(data, "t")
    assert next_events(store, 1) == [(data, "t")]
    assert not readable(store)
    store.write(f"{data}/a", b"")
    assert next_events(store, 1) == [(f"{data}/a", "t")]
    store.set_permissions(f"{data}/a", ["r0"])
    assert next_events(store, 1) == [(f"{data}/a", "t")]
    store.rm(f"{data}/a")
    assert next_events(store, 1) == [(f"{data}/a", "t")]


def test_equal_events_that_wait_are_one(store: Store, guest: RemoteStore, data: str) -> None:
    store.watch(data, "t")
    guest.write_all(["data/x", "data/y"], 50)
    # The answer comes after the events.
    store.read(data)
    assert next_events(store, 3) == [(data, "t"), (f"{data}/x", "t"), (f"{data}/y", "t")]


def test_a_removed_parent_is_reported_as_the_watched_path(store: Store, data: str) -> None:
    store.write(f"{data}/a/b", b"")
    store.watch(f"{data}/a/b", "t")
    next_events(store, 1)
    store.rm(f"{data}/a")
    assert next_events(store, 1) == [(f"{data}/a/b", "t")]


def test_unwatch(store: Store, data: str) -> None:
    store.watch(data, "t")
    store.watch(data, "u")
    next_events(store, 2)
    store.unwatch(data, "t")
    store.write(data, b"")
    assert next_events(store, 1) == [(data, "u")]
    with refused(errno.ENOENT):
        store.unwatch(data, "t")


def test_the_same_watch_twice(store: Store, data: str) -> None:
    store.watch(data, "t")
    with refused(errno.EEXIST):
        store.watch(data, "t")
    next_events(store, 1)
    store.write(data, b"")
    assert next_events(store, 1) == [(data, "t")]


def test_watches_that_cannot_be(store: Store) -> None:
    for path, token, code in (
        ("/a b", "t", errno.EINVAL),
        ("/a", "t\0u", errno.EINVAL),
        ("/a", "t" * 4094, errno.E2BIG),
    ):
        with refused(code):
            store.watch(path, token)
    assert store.events() == []


def test_a_token_is_any_text(store: Store, data: str) -> None:
    for token in ("", "ä/ö", "a b"):
        store.watch(data, token)
        assert next_events(store, 1) == [(data, token)]


def test_a_transaction_is_seen_whole_or_not_at_all(
    store: Store, open_store: OpenStore, data: str
) -> None:
    other = open_store()
    other.watch(data, "t")
    next_events(other, 1)

    def body(view: StoreView) -> str:
        view.write(f"{data}/a", b"1")
        view.mkdir(f"{data}/b")
        view.set_permissions(f"{data}/b", ["r0"])
        view.rm(f"{data}/b")
        assert view.list(data) == ["a"]
        assert view.read(f"{data}/a") == b"1"
        assert view.get_permissions(f"{data}/a")
        with refused(errno.ENOENT):
            other.read(f"{data}/a")
        assert other.events() == []
        return "result"

    assert store.transact(body) == "result"
    assert other.list(data) == ["a"]
    assert (f"{data}/a", "t") in next_events(other, 1)


def test_what_the_body_raises_ends_the_transaction(store: Store, data: str) -> None:
    def body(view: StoreView) -> None:
        view.write(f"{data}/a", b"1")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        store.transact(body)
    assert store.list(data) == []


def test_a_conflict_runs_the_body_again(store: Store, open_store: OpenStore, data: str) -> None:
    other = open_store()
    runs = 0

    def body(view: StoreView) -> bytes:
        nonlocal runs
        runs += 1
        value = view.read(data) + b"+"
        if runs < 3:
            other.write(data, b"%d" % runs)
        view.write(data, value)
        return value

    assert store.transact(body) == store.read(data) == b"2+"
    assert runs == 3


def test_endless_conflict_is_eagain_in_the_end(
    store: Store, open_store: OpenStore, data: str
) -> None:
    other = open_store()
    runs = 0

    def body(view: StoreView) -> None:
        nonlocal runs
        runs += 1
        # A transaction that only reads is one that oxenstored lets end well.
        view.write(data, view.read(data))
        other.write(data, b"%d" % runs)

    with refused(errno.EAGAIN):
        store.transact(body)
    assert 2 <= runs <= 100


def test_a_view_is_of_no_use_after_its_transaction(store: Store, data: str) -> None:
    kept: list[StoreView] = []
    store.transact(kept.append)
    with refused(errno.EINVAL):
        kept[0].write(data, b"outside")
    assert store.read(data) == b""


def test_counting_in_many_threads_loses_nothing(store: Store, data: str) -> None:
    store.write(data, b"0")
    failed: list[BaseException] = []

    def count(view: StoreView) -> None:
        view.write(data, b"%d" % (int(view.read(data)) + 1))

    def work() -> None:
        try:
            for _ in range(10):
                store.transact(count)
        except BaseException as error:  # noqa: BLE001 -- shown by the test
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert store.read(data) == b"40"


def test_nothing_works_after_close(store: Store) -> None:
    store.watch("/", "t")
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.read("/")
    with pytest.raises(StoreUnavailable):
        store.watch("/", "u")
    with pytest.raises(StoreUnavailable):
        store.transact(lambda view: view.read("/"))
    assert store.events() == []
    assert store.fileno() == -1
