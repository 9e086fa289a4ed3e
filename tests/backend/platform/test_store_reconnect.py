"""The daemon dies and comes back: calls fail meanwhile, watches are set again, nothing leaks."""

from __future__ import annotations

import errno
import os
import resource
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from backend.platform.store import connect_store
from protocol.xenpv.ports import StoreUnavailable
from tests.backend.platform.store_waiting import (
    DEADLINE,
    next_events,
    wait_until,
    wait_until_it_works,
    wait_until_lost,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol.xenpv.ports import Store, StoreView
    from tests.backend.platform.conftest import Daemon


@pytest.fixture
def store(daemon: Daemon) -> Iterator[Store]:
    with closing(connect_store(daemon.path(), timeout=10)) as store:
        yield store


def test_the_loss_is_reported_and_the_store_comes_back(
    daemon: Daemon, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store.write("/a", b"1")
    daemon.stop()
    assert wait_until_lost(store).errno == errno.ENOTCONN
    with pytest.raises(StoreUnavailable):
        store.transact(lambda view: view.read("/a"))
    daemon.start()
    wait_until_it_works(store)
    store.write("/a", b"2")
    assert store.read("/a") == b"2"
    texts = [record.getMessage() for record in caplog.records]
    assert sum("lost" in text for text in texts) == 1
    assert sum("connected again" in text for text in texts) == 1


def test_watches_come_back_with_their_first_events(daemon: Daemon, store: Store) -> None:
    store.watch("/a", "one")
    store.watch("/b", "one")
    store.watch("@releaseDomain", "two")
    store.watch("/dropped", "three")
    next_events(store, 4)
    store.unwatch("/dropped", "three")
    for _ in range(3):
        daemon.stop()
        daemon.start()
        assert sorted(next_events(store, 3)) == [
            ("/a", "one"),
            ("/b", "one"),
            ("@releaseDomain", "two"),
        ]
        daemon.client().write(b"/a/x")
        assert next_events(store, 1) == [("/a/x", "one")]


def test_a_watch_dropped_while_the_daemon_is_away_stays_dropped(
    daemon: Daemon, store: Store
) -> None:
    store.watch("/a", "t")
    store.watch("/b", "t")
    next_events(store, 2)
    daemon.stop()
    wait_until_lost(store)
    store.unwatch("/a", "t")
    with pytest.raises(StoreUnavailable):
        store.watch("/c", "t")
    daemon.start()
    assert next_events(store, 1) == [("/b", "t")]
    client = daemon.client()
    for name in (b"/a", b"/c", b"/b"):
        client.write(name)
    assert next_events(store, 1) == [("/b", "t")]


def test_a_transaction_does_not_span_two_connections(daemon: Daemon, store: Store) -> None:
    def body(view: StoreView) -> None:
        view.write("/a", b"1")
        daemon.stop()
        daemon.start()
        wait_until_it_works(store)
        view.write("/b", b"1")

    with pytest.raises(StoreUnavailable):
        store.transact(body)
    assert store.list("/") == ["tool"]


def test_nor_does_its_commit(daemon: Daemon, store: Store) -> None:
    def body(view: StoreView) -> None:
        view.write("/a", b"1")
        daemon.stop()
        daemon.start()
        wait_until_it_works(store)

    with pytest.raises(StoreUnavailable):
        store.transact(body)
    assert store.list("/") == ["tool"]


def test_descriptors_above_1024(daemon: Daemon) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 1200:
        pytest.skip(f"the hard limit of descriptors is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    low = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        with closing(connect_store(daemon.path())) as store:
            assert store.fileno() > 1024
            store.watch("/a", "t")
            assert next_events(store, 1) == [("/a", "t")]
            store.write("/a", b"1")
            assert store.read("/a") == b"1"
    finally:
        for fd in low:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_is_left_open(daemon: Daemon) -> None:
    before = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    for _ in range(5):
        with closing(connect_store(daemon.path())) as store:
            store.watch("/a", "t")
    with pytest.raises(StoreUnavailable):
        connect_store(daemon.path() + "-none")
    # The daemon is in this process: its ends have to be closed too.
    wait_until(lambda: daemon.connections() == 0)
    assert len(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads


def test_many_threads_through_restarts(daemon: Daemon, store: Store) -> None:
    """Every call ends, with its own answer or as unavailable."""
    stop = threading.Event()
    wrong: list[object] = []
    good = 0

    def work(number: int) -> None:
        nonlocal good
        mine = f"/w{number}"
        while not stop.is_set():
            try:
                store.write(mine, mine.encode())
                value = store.read(mine)
                if value != mine.encode():
                    wrong.append(value)
                good += 1
            except (StoreUnavailable, FileNotFoundError):
                # Between the write and the read the store may have been emptied by a restart.
                stop.wait(0.001)
            except OSError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        daemon.stop()
        daemon.start()
        wait_until_it_works(store)
        reached = good
        while good < reached + 20 and not wrong:
            stop.wait(0.001)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
        assert not thread.is_alive()
    assert wrong == []
