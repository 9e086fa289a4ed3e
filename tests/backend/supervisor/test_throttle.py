"""The token bucket, on a clock of numbers."""

from __future__ import annotations

from backend.supervisor.throttle import Throttle


def test_burst_then_rate() -> None:
    throttle = Throttle(rate=2, burst=3, now=10)
    assert [throttle.allow(10) for _ in range(4)] == [True, True, True, False]
    assert not throttle.allow(10.4)
    assert throttle.allow(10.6)
    assert not throttle.allow(10.6)


def test_long_silence_gives_no_more_than_the_burst() -> None:
    throttle = Throttle(rate=100, burst=2, now=0)
    assert [throttle.allow(1000) for _ in range(3)] == [True, True, False]


def test_after_the_wait_it_is_allowed_again() -> None:
    throttle = Throttle(rate=5, burst=4, now=0)
    while throttle.allow(0):
        pass
    pause = throttle.wait()
    assert pause > 0
    assert [throttle.allow(pause) for _ in range(3)] == [True, True, False]
