"""One descriptor for many: what nobody waits for wakes nobody."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest

from backend.fileserver.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def readiness() -> Iterator[Readiness]:
    readiness = Readiness()
    yield readiness
    readiness.close()


def awake(readiness: Readiness) -> bool:
    return bool(select.select([readiness], [], [], 0)[0])


def test_what_is_wanted_and_there_wakes(readiness: Readiness) -> None:
    reader, writer = os.pipe()
    watched = readiness.watch(reader)
    os.write(writer, b"x")
    assert not awake(readiness)
    watched.want(select.EPOLLIN)
    watched.want(select.EPOLLIN)
    assert awake(readiness)
    watched.want(select.EPOLLPRI)
    assert not awake(readiness)
    watched.want(select.EPOLLIN)
    assert awake(readiness)
    watched.want(0)
    assert not awake(readiness)
    watched.close()
    watched.want(select.EPOLLIN)  # the number may be another file's by now
    assert not awake(readiness)
    os.close(reader)
    os.close(writer)


def test_a_nudge_is_heard_once(readiness: Readiness) -> None:
    readiness.settle()
    readiness.nudge()
    readiness.nudge()
    assert awake(readiness)
    readiness.settle()
    assert not awake(readiness)
