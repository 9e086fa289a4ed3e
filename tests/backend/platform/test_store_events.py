"""The queue of events stays small whatever comes, and loses no news."""

from __future__ import annotations

import select
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from backend.platform.store import connect_store
from backend.platform.store_events import MAX_WAITING, EventQueue
from tests.backend.platform.store_waiting import next_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.backend.platform.conftest import Daemon


@pytest.fixture
def queue() -> Iterator[EventQueue]:
    with closing(EventQueue()) as queue:
        yield queue


def readable(queue: EventQueue) -> bool:
    poll = select.poll()
    poll.register(queue.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def test_the_descriptor_says_whether_events_wait(queue: EventQueue) -> None:
    assert not readable(queue)
    assert queue.take() == []
    queue.put("/a", "t", ["/"])
    queue.put("/b", "t", ["/"])
    assert readable(queue)
    assert queue.take() == [("/a", "t"), ("/b", "t")]
    assert not readable(queue)


def test_equal_events_wait_once_and_in_the_first_ones_place(queue: EventQueue) -> None:
    for path, token in (("/a", "t"), ("/b", "t"), ("/a", "t"), ("/a", "u"), ("/b", "t")):
        queue.put(path, token, ["/"])
    assert queue.take() == [("/a", "t"), ("/b", "t"), ("/a", "u")]
    queue.put("/a", "t", ["/"])
    assert queue.take() == [("/a", "t")]


def test_too_many_become_one_for_each_watched_path(queue: EventQueue) -> None:
    queue.put("/first", "other", ["/first"])
    for number in range(MAX_WAITING):
        queue.put(f"/x/{number}", "t", ["/x", "/y"])
    assert len(queue.take()) == MAX_WAITING + 1
    queue.put("/first", "other", ["/first"])
    for number in range(3 * MAX_WAITING):
        queue.put(f"/x/{number}", "t", ["/x", "/y"])
    queue.put("/last", "other", ["/last"])
    assert queue.take() == [
        ("/first", "other"),
        ("/x", "t"),
        ("/y", "t"),
        ("/last", "other"),
    ]
    assert not readable(queue)
    queue.put("/x/1", "t", ["/x", "/y"])
    assert queue.take() == [("/x/1", "t")]


def test_a_closed_queue_takes_nothing_and_has_nothing(queue: EventQueue) -> None:
    queue.put("/a", "t", ["/"])
    queue.close()
    queue.put("/b", "t", ["/"])
    assert queue.take() == []
    assert queue.fileno() == -1
    queue.close()


def test_a_guest_that_keeps_making_names_cannot_fill_the_queue(daemon: Daemon) -> None:
    dom0 = daemon.client()
    dom0.write(b"/local/domain/5")
    dom0.chmod(b"/local/domain/5", b"n5")
    with closing(connect_store(daemon.path())) as store:
        store.watch("/local/domain/5", "guest")
        store.watch("/tool", "ours")
        next_events(store, 2)
        guest = daemon.client(5)
        for number in range(2 * MAX_WAITING):
            guest.write(b"%d" % number)
            guest.rm(b"%d" % number)
        store.write("/tool", b"")
        # Its answer comes after all those events.
        store.read("/tool")
        assert store.events() == [("/local/domain/5", "guest"), ("/tool", "ours")]
