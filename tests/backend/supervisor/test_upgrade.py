"""Which devices can be upgraded, and which of two workers a later supervisor takes for the one."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backend.supervisor.adoption import serving_one
from backend.supervisor.policy import WorkerPhase
from backend.supervisor.processes import birth
from backend.supervisor.records import Remains
from backend.supervisor.upgrade import obstacle
from tests.backend.supervisor.test_records import RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backend.supervisor.records import Record


def test_a_device_that_serves_can_be_upgraded() -> None:
    assert obstacle(WorkerPhase.SERVING, recovers=True, on_record=True, busy=False) is None


@pytest.mark.parametrize(
    ("phase", "recovers", "on_record", "busy", "reason", "remedy"),
    [
        (WorkerPhase.NONE, False, False, False, "no worker", "list"),
        (WorkerPhase.STARTING, True, False, False, "is starting", "again"),
        (WorkerPhase.STOPPING, True, True, False, "is stopping", "again"),
        (WorkerPhase.SERVING, False, True, False, "without recovery", "recovery = true"),
        (WorkerPhase.SERVING, True, False, False, "not connected", "again"),
        (WorkerPhase.SERVING, True, True, True, "already", "again"),
    ],
)
def test_others_are_told_why_not_and_what_to_do(
    phase: WorkerPhase, *, recovers: bool, on_record: bool, busy: bool, reason: str, remedy: str
) -> None:
    outcome = obstacle(phase, recovers=recovers, on_record=on_record, busy=busy)
    assert outcome is not None
    assert not outcome.upgraded
    assert reason in (outcome.reason or "")
    assert remedy in (outcome.remedy or "")


class Worker:
    """A process that lives until its standard input ends, in the place of a worker."""

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.record: Record = RECORD._replace(
            pid=self.process.pid, birth=birth(self.process.pid) or 0
        )

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


@contextmanager
def two() -> Iterator[tuple[Worker, Worker, Record]]:
    """The old one, the new one, and the record that names both."""
    old, new = Worker(), Worker()
    try:
        yield old, new, new.record._replace(predecessor=old.record)
    finally:
        for worker in (old, new):
            worker.end()
            worker.process.wait()


def test_the_one_that_is_left_is_the_one() -> None:
    with two() as (old, new, record):
        new.process.kill()
        new.process.wait()
        assert serving_one(record) == old.record
    with two() as (old, new, record):
        old.process.kill()
        old.process.wait()
        assert serving_one(record) == new.record
    assert serving_one(record) == new.record, "of two that have ended, it does not matter"


def test_two_that_live_are_waited_for() -> None:
    with two() as (old, new, record):
        new.end()
        assert serving_one(record) == old.record
    with two() as (old, new, record):
        old.end()
        assert serving_one(record) == new.record


def test_of_two_that_do_not_agree_the_new_one_is_the_one() -> None:
    with two() as (old, new, record):
        assert serving_one(record) == new.record
        assert old.process.wait(30) < 0
        assert new.process.poll() is None


def test_a_record_of_one_is_left_alone() -> None:
    remains = Remains(1, 2, "damaged")
    assert serving_one(RECORD) is RECORD
    assert serving_one(remains) is remains
