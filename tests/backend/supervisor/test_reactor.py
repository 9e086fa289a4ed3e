"""The event loop: order, cancellation, and descriptors that go away in the middle of a round."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from backend.supervisor.reactor import Reactor

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


def test_deadlines_run_in_order_and_cancelled_ones_do_not(reactor: Reactor) -> None:
    seen: list[str] = []
    reactor.after(0.02, reactor.stop)
    reactor.after(0.01, lambda: seen.append("second"))
    reactor.after(0.0, lambda: seen.append("first"))
    reactor.after(0.0, lambda: seen.append("cancelled")).cancel()
    reactor.run()
    assert seen == ["first", "second"]


def test_deadline_set_by_a_deadline_waits_for_the_next_round(reactor: Reactor) -> None:
    reader, writer = os.pipe()
    turns = 0

    def again() -> None:
        nonlocal turns
        turns += 1
        reactor.after(0, again)

    reactor.after(0, again)
    reactor.register(reader, reactor.stop)
    os.write(writer, b"x")
    reactor.run()
    reactor.unregister(reader)
    assert turns <= 1, "deadlines starve descriptors"
    os.close(reader)
    os.close(writer)


def test_handler_unregistered_in_the_same_round_is_not_called(reactor: Reactor) -> None:
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def handler(mine: int, other: int) -> None:
        called.append(mine)
        reactor.unregister(mine)
        reactor.unregister(other)
        reactor.stop()

    (a, b) = (pipes[0][0], pipes[1][0])
    reactor.register(a, lambda: handler(a, b))
    reactor.register(b, lambda: handler(b, a))
    for _, writer in pipes:
        os.write(writer, b"x")
    reactor.run()
    assert len(called) == 1
    for pair in pipes:
        os.close(pair[0])
        os.close(pair[1])


def test_signal_is_handled_in_the_loop_and_given_back(reactor: Reactor) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    reactor.on_signals({signal.SIGUSR1: reactor.stop})
    os.kill(os.getpid(), signal.SIGUSR1)
    reactor.run()
    reactor.close()
    assert signal.getsignal(signal.SIGUSR1) == before


def test_mistake_in_a_handler_is_logged_and_the_loop_goes_on(
    reactor: Reactor, caplog: pytest.LogCaptureFixture
) -> None:
    def mistake() -> None:
        raise ValueError("mine")

    reactor.after(0, mistake)
    reactor.after(0, reactor.stop)
    reactor.run()
    assert "ValueError: mine" in caplog.text


def test_mistake_that_comes_again_and_again_ends_the_loop(reactor: Reactor) -> None:
    def mistake() -> None:
        reactor.after(0, mistake)
        raise ValueError("mine")

    reactor.after(0, mistake)
    with pytest.raises(ValueError, match="mine"):
        reactor.run()
