"""Waiting for what a store does by itself: events, loss, recovery; always with a deadline."""

from __future__ import annotations

import select
import threading
import time
from typing import TYPE_CHECKING

import pytest

from protocol.xenpv.ports import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.xenpv.ports import Events, Store

DEADLINE = 20.0


def next_events(store: Store, count: int) -> Events:
    poll = select.poll()
    poll.register(store.fileno(), select.POLLIN)
    seen: Events = []
    while len(seen) < count:
        assert poll.poll(DEADLINE * 1000), f"only {seen}"
        seen += store.events()
    return seen


def wait_until(condition: Callable[[], bool]) -> None:
    """For what nothing tells: ask again until it is so."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.001)


def wait_until_lost(store: Store) -> StoreUnavailable:
    """Call until the call fails, as it must once the daemon is away."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            store.list("/")
        except StoreUnavailable as error:
            return error
    pytest.fail("the store did not notice")


def wait_until_it_works(store: Store) -> None:
    """Poll with a call, since nothing else tells a program without watches."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            store.list("/")
        except StoreUnavailable:
            threading.Event().wait(0.01)
        else:
            return
    pytest.fail("the store did not come back")


class Call(threading.Thread):
    """A call in another thread, and what became of it."""

    def __init__(self, body: Callable[[], object]) -> None:
        super().__init__()
        self._body = body
        self.result: object = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.result = self._body()
        except OSError as error:
            self.error = error

    def finish(self) -> BaseException | None:
        self.join(DEADLINE)
        assert not self.is_alive(), "the call still waits"
        return self.error
