"""Which deaths are held against a request, and when a device is given up."""

from __future__ import annotations

import pytest

from backend.worker.keeper import MOST_QUIET, MOST_TRIES, SETTLED, Deaths, GivenUpError, Past


def test_deaths_at_one_request_are_counted_until_it_is_answered() -> None:
    deaths = Deaths()
    for tries in range(1, MOST_TRIES):
        deaths.note(7, 1, 0.0)
        assert deaths.past == Past(tries, 1)
    deaths.note(8, 0, 0.0)
    assert deaths.past == Past(1, 0)
    deaths.note(9, None, 0.0)
    assert deaths.past == Past()


def test_too_many_at_one_request_are_the_end() -> None:
    deaths = Deaths()
    for _ in range(MOST_TRIES - 1):
        deaths.note(7, 0, SETTLED)
    with pytest.raises(GivenUpError, match=f"{MOST_TRIES} times at the same request"):
        deaths.note(7, 0, SETTLED)


def test_deaths_without_a_request_are_held_against_none() -> None:
    deaths = Deaths()
    deaths.note(7, 1, 0.0)
    for _ in range(MOST_QUIET - 1):
        deaths.note(7, None, 0.0)
    assert deaths.past == Past(1, 1)
    with pytest.raises(GivenUpError, match=f"{MOST_QUIET} times before it could answer"):
        deaths.note(7, None, 0.0)


def test_a_worker_that_has_lived_begins_a_new_row() -> None:
    deaths = Deaths()
    for _ in range(3):
        for _ in range(MOST_QUIET - 2):
            deaths.note(7, None, 0.0)
        deaths.note(7, None, SETTLED)
