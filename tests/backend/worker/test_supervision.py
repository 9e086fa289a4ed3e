"""How a worker finds its next supervisor, and whom it takes for one."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backend.worker import control
from backend.worker.control import ControlChannel, Failed, Outlive, Query, Report, Stop
from backend.worker.supervision import Supervision, connect, socket_name
from protocol.xenpv.ids import Devid, Domid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEVICE = Domid(5), Devid(0)
NAME = socket_name(*DEVICE, os.getpid())


class Worker:
    """A worker's end, and its first supervisor's."""

    def __init__(self, directory: Path) -> None:
        ours, theirs = control.pair()
        self.first = ControlChannel(ours)
        self.supervision = Supervision(ControlChannel(theirs))
        self.supervision.listen(str(directory), *DEVICE)

    def ready(self) -> bool:
        return bool(select.select([self.supervision.fileno()], [], [], 0)[0])

    def orphan(self) -> None:
        self.first.send(Outlive())
        assert self.supervision.receive() is None
        self.first.close()
        assert self.ready()
        assert self.supervision.receive() is None
        assert not self.ready()

    def close(self) -> None:
        self.first.close()
        self.supervision.close()


@pytest.fixture
def worker(leak_free: None, tmp_path: Path) -> Iterator[Worker]:
    # Longer than a unix socket's path may be.
    directory = tmp_path / ("x" * 120)
    directory.mkdir()
    worker = Worker(directory)
    yield worker
    worker.close()


@pytest.fixture
def directory(tmp_path: Path) -> str:
    return str(tmp_path / ("x" * 120))


def test_one_that_is_not_to_outlive_its_supervisor_does_not(worker: Worker) -> None:
    worker.first.close()
    with pytest.raises(EOFError):
        worker.supervision.receive()


def test_orders_before_and_after(worker: Worker, directory: str) -> None:
    worker.first.send(Query(1))
    assert worker.supervision.receive() == Query(1)
    worker.orphan()
    assert not worker.supervision.send(Failed("nobody hears it"))
    for _ in range(3):
        later = ControlChannel(connect(directory, NAME))
        later.send(Query(2))  # before it was accepted
        assert worker.supervision.receive() is None
        assert worker.supervision.receive() == Query(2)
        assert worker.supervision.send(Report(2, {}))
        assert later.receive() == Report(2, {})
        later.close()
        assert worker.supervision.receive() is None
    last = ControlChannel(connect(directory, NAME))
    last.send(Stop())
    assert worker.supervision.receive() is None
    assert worker.supervision.receive() == Stop()
    last.close()


def test_nobody_takes_it_over_while_it_has_a_supervisor(worker: Worker, directory: str) -> None:
    worker.first.send(Outlive())
    assert worker.supervision.receive() is None
    other = ControlChannel(connect(directory, NAME))
    other.send(Stop())
    assert not worker.ready()
    worker.first.send(Query(1))
    assert worker.supervision.receive() == Query(1)
    other.close()


def test_those_who_came_and_went_are_passed_over(worker: Worker, directory: str) -> None:
    worker.first.send(Outlive())
    for _ in range(3):
        connect(directory, NAME).close()
    worker.first.close()
    there = ControlChannel(connect(directory, NAME))
    there.send(Query(9))
    seen = []
    while worker.ready():
        seen.append(worker.supervision.receive())
    assert [order for order in seen if order is not None] == [Query(9)]
    there.close()


def test_so_many_who_came_in_vain_are_enough(worker: Worker, directory: str) -> None:
    waiting = [connect(directory, NAME) for _ in range(9)]
    with pytest.raises(BlockingIOError):
        connect(directory, NAME)
    for connection in waiting:
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_another_user_is_no_supervisor(worker: Worker, directory: str) -> None:
    worker.orphan()
    script = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
        "os.chdir(sys.argv[1])\n"
        "os.setuid(65534)\n"
        "s.connect(sys.argv[2])\n"
        "assert s.recv(1) == b''\n"
    )
    os.chmod(f"{directory}/{NAME}", 0o666)  # noqa: S103 -- let it come as far as it may
    with subprocess.Popen([sys.executable, "-c", script, directory, NAME]) as stranger:
        assert select.select([worker.supervision.fileno()], [], [], 20)[0]
        assert worker.supervision.receive() is None
        assert stranger.wait(20) == 0
    mine = ControlChannel(connect(directory, NAME))
    mine.send(Query(1))
    assert worker.supervision.receive() is None
    assert worker.supervision.receive() == Query(1)
    mine.close()


def test_nobody_is_there_when_it_has_ended(worker: Worker, directory: str) -> None:
    worker.close()
    with pytest.raises(ConnectionRefusedError):
        connect(directory, NAME)
