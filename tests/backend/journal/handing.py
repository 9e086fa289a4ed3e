"""The supervisor's part in a handover, step by step."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from backend.worker.control import ControlChannel, HandOver, Outlive, Prepared, Ready, Serving

if TYPE_CHECKING:
    import subprocess

    from backend.worker.control import FromSupervisor, FromWorker
    from tests.backend.journal.conftest import Served

PATIENCE = 30


def heard(channel: ControlChannel) -> FromWorker | FromSupervisor | None:
    """The next that a worker says."""
    ready, _, _ = select.select([channel.fileno()], [], [], PATIENCE)
    assert ready
    return channel.receive()


class Handover:
    """From the device's process to a new one, as far as the test goes."""

    def __init__(self, guest: Served) -> None:
        self._guest = guest
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process: subprocess.Popen[bytes]
        self.channel: ControlChannel
        with theirs:
            self.process, self.channel = guest.start(theirs.fileno())

    def prepare(self) -> None:
        assert heard(self.channel) == Prepared()

    def order(self) -> None:
        """Have the old one hand over."""
        with self._line:
            assert self._guest.channel.send_with(HandOver(), self._line.fileno())

    def await_ready(self) -> None:
        said = heard(self.channel)
        assert isinstance(said, Ready), said

    def settle(self) -> None:
        """Let the new one serve, which is the guest's process from now on."""
        guest = self._guest
        assert self.channel.send(Outlive())
        said = heard(self.channel)
        assert said == Serving(), said
        assert guest.process.wait(PATIENCE) == 0
        guest.channel.close()
        guest.process, guest.channel = self.process, self.channel

    def close(self) -> None:
        """What is left of one that failed."""
        self._line.close()
        self.process.kill()
        self.process.wait()
        self.channel.close()


def hand_over(guest: Served) -> None:
    """All of it."""
    handover = Handover(guest)
    handover.prepare()
    handover.order()
    handover.await_ready()
    handover.settle()
