"""In a guest: the contract suite's agents, by number, with the console as their pipe.

A line from Dom0 is ``@NUMBER start DOMID``, ``@NUMBER kill``, ``@NUMBER close``, or ``@NUMBER ask``
and a request; a line to Dom0 is ``@NUMBER`` and an answer, or ``@NUMBER ended STATUS``.

Agents are forked from here, with all that they need imported: an emulated processor takes seconds
for that.  Nothing is opened before, so that they share nothing.
"""

from __future__ import annotations

import os
import select
import signal
import traceback
from typing import NamedTuple, NoReturn

import backend.platform.store
import backend.platform.xen.platform  # noqa: F401 -- what agents import when they start
from tests.contract import agent


class Running(NamedTuple):
    """An agent: its process, and where its requests go."""

    pid: int
    requests: int


class Agents:
    """The agents that run."""

    def __init__(self, console: int) -> None:
        self._console = console
        self._received: dict[int, bytes] = {console: b""}
        self._running: dict[str, Running] = {}
        self._names: dict[int, str] = {}

    def turn(self) -> None:
        """Wait for something to read, and pass it on."""
        for descriptor in select.select(list(self._received), [], [])[0]:
            data = os.read(descriptor, 1 << 16)
            *lines, self._received[descriptor] = (self._received[descriptor] + data).split(b"\n")
            if descriptor == self._console:
                for line in lines:
                    self._obey(line.decode())
                continue
            name = self._names[descriptor]
            for line in lines:
                self._say(f"{name} {line.decode()}")
            if not data:
                del self._received[descriptor], self._names[descriptor]
                os.close(descriptor)
                self._say(f"{name} ended {self._reap(name)}")

    def _obey(self, line: str) -> None:
        name, _, order = line.partition(" ")
        word, _, rest = order.partition(" ")
        if not name.startswith("@"):
            return
        if word == "start":
            self._start(name, int(rest))
            return
        running = self._running[name]
        if word == "kill":
            os.kill(running.pid, signal.SIGKILL)
        elif word == "close":
            os.close(running.requests)
            self._running[name] = running._replace(requests=-1)
        else:
            _write(running.requests, f"{rest}\n")

    def _start(self, name: str, domid: int) -> None:
        theirs, requests = os.pipe()
        answers, their_answers = os.pipe()
        pid = os.fork()
        if not pid:
            be_agent(domid, theirs, their_answers)
        os.close(theirs)
        os.close(their_answers)
        self._running[name] = Running(pid, requests)
        self._names[answers] = name
        self._received[answers] = b""

    def _reap(self, name: str) -> int:
        running = self._running.pop(name)
        if running.requests >= 0:
            os.close(running.requests)
        return os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1])

    def _say(self, line: str) -> None:
        _write(self._console, f"{line}\n")


def be_agent(domid: int, requests: int, answers: int) -> NoReturn:
    """The child's whole life."""
    try:
        os.dup2(requests, 0)
        os.dup2(answers, 1)
        # Another's end of a pipe would keep that from ending.
        os.closerange(3, 1024)
        agent.main("xen", domid)
        os._exit(0)
    except BaseException:  # noqa: BLE001 -- shown on the console
        traceback.print_exc()
    finally:
        os._exit(1)


def _write(descriptor: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(descriptor, data) :]


if __name__ == "__main__":
    agents = Agents(os.open("/dev/hvc0", os.O_RDWR | os.O_NOCTTY))
    while True:
        agents.turn()
